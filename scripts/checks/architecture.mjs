// Checks that what docs/architecture.md names is there: each path, each symbol behind a path in that file, and each other
// symbol somewhere in the sources.
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

/** What a page names and a tree does not have. */
export function checkArchitecture(tree, text) {
  const files = folders
    .flatMap((folder) => filesIn(tree, folder))
    .filter((file) => /\.(m?ts|rs|js)$/.test(file))
  const texts = new Map(files.map((file) => [file, readFileSync(join(tree, file), 'utf8')]))
  const wordsOfFile = new Map(files.map((file) => [file, new Set(code(texts.get(file)).match(/\w+/g))]))
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
        const has = (file) => wordsOf(each).every((word) => wordsOfFile.get(file).has(word))
        if (candidates.length > 0 && !candidates.some(has)) tell(`${name} has no ${each}`)
      }
    }
  }
  return problems
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const problems = checkArchitecture(root, readFileSync(join(root, page), 'utf8'))
  report('architecture', problems)
}
