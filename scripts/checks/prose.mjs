// Checks the English of pages, comments and messages: subjects are nouns, and sentences have 25 words at most.
//
//   node scripts/checks/prose.mjs [--count] [<file or folder>…]

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { root } from './tree.mjs'

const maxWords = 25

/** A relative clause keeps its `who`: "the peer, who", "a user who". */
const patterns = [
  ['a subject that is no noun', /\b(?:who|any|some|every)(?:ever|body|one)\b|\bnobody\b|\bno one\b/gi],
  [
    'who as a noun',
    /(?:^|[.:;(|*] ?|\b(?:and|or|of|to|by|for|from|as|with|says?|asks?|knows?|decides?|tells?) )who\b/gim,
  ],
  ['stops to do', /\bstop(?:s|ped)? to \w+/gi],
  // "of Go's runtime" is fine: what is wrong is a genitive without its noun, "of Go's" or "of Go's that".
  [
    "of somebody's",
    /\bof (?:[A-Z][\w.]*|the (?:user|system|language|engine|host|peer|caller))['’]s(?= *(?:[.,;:)|]|$|(?:own|and|or|but|is|are|was|were|has|have|had|that|which|with|without|to|in|on|by|at|of|for|from|as|any|where|when) ))/g,
  ],
]

/** The texts of a file: each paragraph, item and cell of a page; of a program each comment, and the messages of errors. */
export function textsOf(file, source) {
  if (file.endsWith('.md')) {
    // Neither code nor what a script writes between its marks.
    const written = /^```[\s\S]*?^```|^<!-- (\w+): [\s\S]*?^<!-- \1: end -->/gm
    const prose = source.replace(written, (block) => block.replace(/[^\n]/g, ''))
    return split(prose, /\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|\n(?=#)|(?<=^#.*)\n|\||\n(?=>)/m)
  }
  const found = [
    ...source.matchAll(
      /\/\*\*?([\s\S]*?)\*\/|((?:^[ \t]*\/\/[/!]?.*\n)+)|(?<=\S\s)\/\/ (.*)|(['"`])((?:(?!\4)[^\\\n]|\\.)*)\4/gm,
    ),
  ]
  return found.flatMap(({ 0: all, 1: block, 2: lines, 3: rest, 5: string, index }) => {
    const at = source.slice(0, index).split('\n').length
    // Messages: text of several words, in what is shipped.
    if (string !== undefined)
      return file.startsWith('src-ts/') && /\w \w+ \w/.test(string) ? [{ text: string, at }] : []
    const text = (block ?? lines ?? rest ?? all)
      .replace(/^[ \t]*(?:\/\/[/!]?|\*)/gm, '')
      .replace(/^\s*@\w+/gm, '\n\n')
      // Blocks of code keep their lines alone.
      .replace(/```[\s\S]*?```/g, (block) => block.replace(/[^\n]/g, ''))
    return split(text, /\n\s*\n|\n(?=\s*(?:-|\d+\.) )|\|/).map(({ text: each, at: line }) => ({
      text: each,
      at: at + line - 1,
    }))
  })
}

function split(text, by) {
  let at = 0
  return text.split(by).map((part) => {
    const begin = text.indexOf(part, at)
    at = begin + part.length
    return { text: part, at: text.slice(0, begin).split('\n').length + /^\n*/.exec(part)[0].length }
  })
}

/** What is wrong with a text, each problem with its kind. */
export function problemsOf(text) {
  const plain = text
    .replace(/`[^`]*`/g, 'code')
    .replace(/\{@link ([^}]*)\}/g, 'code')
    .replace(/\]\([^)]*\)/g, ']')
    .replace(/\s+/g, ' ')
  const found = patterns.flatMap(([kind, pattern]) =>
    Array.from(plain.matchAll(pattern), ([hit]) => [kind, hit.trim()]),
  )
  for (const sentence of plain.split(/(?<=[.!?]["”’)*_]*) +/)) {
    const words = sentence.match(/[\p{L}\d][\p{L}\d.,’'_/-]*/gu) ?? []
    if (words.length > maxWords)
      found.push([`more than ${maxWords} words`, `${words.length}: ${sentence.trim().slice(0, 60)}…`])
  }
  return found
}

/** Whether a file is read: text that is written by hand, and in one of the paths, if there are any. */
export function isRead(file, paths) {
  return (
    /\.(md|m?ts|rs|m?js)$/.test(file) &&
    !/gen-nodejs|^binding|^docs\/benchmarks\/|THIRD-PARTY-NOTICES/.test(file) &&
    (paths.length === 0 || paths.some((path) => file === path || file.startsWith(`${path}/`)))
  )
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const paths = process.argv.slice(2).filter((argument) => argument !== '--count')
  const all = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).trim().split('\n')
  const unknown = paths.find((path) => !all.some((file) => isRead(file, [path])))
  if (unknown !== undefined) throw new Error(`${unknown} has no file that this check reads`)
  const counts = new Map()
  for (const file of all.filter((each) => isRead(each, paths))) {
    for (const { text, at } of textsOf(file, readFileSync(join(root, file), 'utf8'))) {
      for (const [kind, hit] of problemsOf(text)) {
        const folder = /^(crates\/)?[^/]+/.exec(file)[0]
        const key = `${kind}, ${folder}`
        counts.set(key, (counts.get(key) ?? 0) + 1)
        if (!process.argv.includes('--count')) process.stdout.write(`${file}:${at}: ${kind}: ${hit}\n`)
      }
    }
  }
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  if (process.argv.includes('--count')) console.table(Object.fromEntries([...counts].sort()))
  process.stdout.write(`prose: ${total} problems\n`)
  process.exitCode = total > 0 ? 1 : 0
}
