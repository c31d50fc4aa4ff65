// Checks that what docs/architecture.md names is there: each path, the definition of each symbol behind a path in that file,
// and each other symbol somewhere in the sources.
//
//   node scripts/checks/architecture.mjs

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { filesIn, report, root } from './tree.mjs'

const page = 'docs/architecture.md'

/** Where sources are, and with them what a path may be short for. */
const folders = ['src-ts', 'crates/core/src', 'crates/node/src', 'crates/bench/src', 'binding']
/** Where a path may begin beside these. */
const others = ['', 'docs/', 'crates/core/']

const path = /^[\w.-]+(?:\/[\w.-]+)*(?:\/|\.(?:m?ts|rs|mjs|json|toml|md))$/
const symbol = /^#?[A-Za-z_]\w*(?:(?:\.#?|::)[A-Za-z_]\w*)*(?:\(\))?$/
/** A path and the symbols that it is said to have: "`a/b.ts` (`one`, `Two`)", or "(`a/b.ts`, `one`)". */
const withSymbols = /(?:`([^`\s]+)` )?\(((?:`[^`]+`(?:, | and )?)+)\)/g

/** Names of the system, which the sources reach by a library. */
const ofTheSystem = new Set(['EPOLLPRI', 'MSG_CTRUNC'])

/** A text without its comments: what is only talked about is not there. */
function code(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '')
}

/** The words of a symbol: each stands in a source that has it. */
function wordsOf(name) {
  return name.match(/\w+/g) ?? []
}

/** Whether `source` defines what ends a symbol, such as `take` of `Pool.#take`: what is only used there is defined elsewhere. */
function defines(source, symbolName) {
  const name = wordsOf(symbolName).at(-1)
  const keyword = 'fn|struct|enum|trait|union|mod|static|const|let|class|function\\*?|interface|type'
  if (new RegExp(`\\b(?:${keyword}) (?:mut )?${name}\\b`).test(source)) return true
  // What a class has: a field at the beginning of a line, or a method, behind whose parameters stands a type or a body.
  const modifiers = '(?:(?:static|readonly|declare|abstract|override|async|get|set) |\\*)*'
  if (new RegExp(`^ +${modifiers}#?${name}[?!]?(?:: [^\\n]*)? = `, 'm').test(source)) return true
  for (const { index, 0: found } of source.matchAll(
    new RegExp(`^ +${modifiers}#?${name}(?:<[^()]*>)?\\(`, 'gm'),
  )) {
    if (/^\s*[:{]/.test(behindParentheses(source, index + found.length))) return true
  }
  return false
}

/** The text behind the parenthesis that closes one which is open at `from`. */
function behindParentheses(source, from) {
  let depth = 1
  let at = from
  for (; depth > 0 && at < source.length; at += 1) depth += { '(': 1, ')': -1 }[source[at]] ?? 0
  return source.slice(at, at + 100)
}

/** What a page names and a tree does not have. */
export function checkArchitecture(tree, text) {
  const files = folders
    .flatMap((folder) => filesIn(tree, folder))
    .filter((file) => /\.(m?ts|rs|js)$/.test(file))
  const texts = new Map(files.map((file) => [file, readFileSync(join(tree, file), 'utf8')]))
  const sources = new Map(files.map((file) => [file, code(texts.get(file))]))
  // Names of others, such as packages, stand in comments alone.
  const allWords = new Set(Array.from(texts.values(), (source) => source.match(/\w+/g) ?? []).flat())
  const found = (name) => {
    const known = files.filter((file) => file === name || file.endsWith(`/${name}`))
    if (known.length > 0) return known
    return others.some((before) => existsSync(join(tree, before + name))) || isFolder(name) ? [] : undefined
  }
  const isFolder = (name) => name.endsWith('/') && files.some((file) => `/${file}`.includes(`/${name}`))

  const problems = []
  // Blocks are no names.
  const prose = text.replace(/^```[\s\S]*?^```$/gm, (block) => block.replace(/[^\n]/g, ''))
  for (const [index, line] of prose.split('\n').entries()) {
    const tell = (what) => problems.push(`${page}:${index + 1}: ${what}`)
    for (const [, name] of line.matchAll(/`([^`]+)`/g)) {
      if (path.test(name)) {
        if (found(name) === undefined) tell(`there is no ${name}`)
      } else if (symbol.test(name) && !ofTheSystem.has(name)) {
        if (!wordsOf(name).every((word) => allWords.has(word))) tell(`no source has ${name}`)
      }
    }
    for (const [, before, list] of line.matchAll(withSymbols)) {
      let name = before
      for (const [, each] of list.matchAll(/`([^`]+)`/g)) {
        if (path.test(each)) name = each
        if (name === undefined || !path.test(name) || path.test(each) || !symbol.test(each)) continue
        const candidates = found(name) ?? []
        const has = (file) => defines(sources.get(file), each)
        if (candidates.length > 0 && !candidates.some(has)) tell(`${name} defines no ${each}`)
      }
    }
  }
  return problems
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const problems = checkArchitecture(root, readFileSync(join(root, page), 'utf8'))
  report('architecture', problems)
}
