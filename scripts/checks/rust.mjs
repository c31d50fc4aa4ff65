// Reads which files of a crate use which others of it: paths that begin with `crate`, `super`, `self` or a module.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Rust as rustfmt writes it, without comments and without what is compiled for tests alone; lines stay where they are. */
export function withoutTests(text) {
  const kept = []
  let end
  for (const line of text.split('\n')) {
    const isComment = /^\s*\/\//.test(line)
    if (end === undefined && !isComment) {
      const attribute = /^(\s*)#\[cfg\((?:all\()?test\b/.exec(line)
      if (attribute) end = { indent: attribute[1], begun: false }
    }
    kept.push(end === undefined && !isComment ? line : '')
    if (end === undefined) continue
    const isAttribute = /^\s*#\[/.test(line)
    const closes = line.startsWith(`${end.indent}}`) || (!end.begun && /[;,}]$/.test(line))
    if (!isAttribute && closes) end = undefined
    else if (!isAttribute) end.begun = true
  }
  return kept.join('\n')
}

/** `use a::{b, c::D}` as `[['a', 'b'], ['a', 'c', 'D']]`. */
function branches(tree) {
  const open = tree.indexOf('{')
  const plain = (text) => text.replace(/\s+as\s+\w+$/, '').split('::')
  if (open < 0) return [plain(tree.trim())]
  const parts = []
  let depth = 0
  let part = ''
  for (const character of tree.slice(open + 1, tree.lastIndexOf('}'))) {
    if (character === '{') depth += 1
    if (character === '}') depth -= 1
    if (character === ',' && depth === 0) {
      parts.push(part)
      part = ''
    } else part += character
  }
  const stem = tree.slice(0, open).trim().split('::').filter(Boolean)
  return [...parts, part]
    .map((each) => each.trim())
    .filter(Boolean)
    .flatMap((each) => branches(each).map((path) => [...stem, ...path]))
}

/** The imports of all files of a crate's `src`. */
export function rustImports(root, folder) {
  const modules = new Map()
  for (const path of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).sort()) {
    if (!path.endsWith('.rs') || /(^|\/)tests(\.rs|\/)/.test(path)) continue
    const name = path.replace(/\.rs$/, '').replace(/\/mod$/, '')
    const isRoot = name === 'lib' || (name === 'main' && !existsSync(join(root, folder, 'lib.rs')))
    const text = withoutTests(readFileSync(join(root, folder, path), 'utf8')).replace(
      /"(?:[^"\\]|\\.)*"/g,
      '""',
    )
    const uses = Array.from(
      text.matchAll(/^\s*(?:pub(?:\([^)]*\))?\s+)?use\s+([^;]+);/gm),
      ([, tree]) => tree,
    )
    modules.set(isRoot ? '' : name.replaceAll('/', '::'), {
      file: `${folder}/${path}`,
      uses: uses.flatMap(branches),
      paths: Array.from(
        text.replace(/^\s*(?:pub\S*\s+)?use\s[^;]+;/gm, '').matchAll(/\b\w+(?:::\w+)+/g),
        ([path]) => path.split('::'),
      ),
    })
  }

  /** The module in which what `path` names, as seen from `from`, is defined. */
  const moduleOf = (from, path, seen = []) => {
    let [first, ...rest] = path
    let at = from
    if (first === 'crate') at = ''
    else if (first === 'super') at = from.split('::').slice(0, -1).join('::')
    else if (first !== 'self') {
      if (!modules.has(child(from, first))) return undefined
      rest = path
    }
    if (first === 'super' && from === '') return undefined
    for (; rest[0] === 'super'; rest = rest.slice(1)) at = at.split('::').slice(0, -1).join('::')
    for (; rest.length > 0 && modules.has(child(at, rest[0])); rest = rest.slice(1)) at = child(at, rest[0])
    // What a module has from elsewhere comes from there.
    const source = modules.get(at)?.uses.find((each) => rest.length > 0 && each.at(-1) === rest[0])
    const key = `${at} ${rest[0]}`
    if (source === undefined || seen.includes(key)) return at
    return moduleOf(at, source, [...seen, key]) ?? at
  }

  const entries = Array.from(modules, ([name, { file, uses, paths }]) => {
    const targets = [...uses, ...paths].map((path) => modules.get(moduleOf(name, path) ?? name)?.file ?? file)
    return [file, new Set(targets.filter((target) => target !== file))]
  })
  return new Map(entries)
}

const child = (module, name) => (module === '' ? name : `${module}::${name}`)
