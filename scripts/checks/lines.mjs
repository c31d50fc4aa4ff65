// Counts the lines of code of each file, without comments and tests: so many at most, but for the exceptions.
//
//   node scripts/checks/lines.mjs

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { withoutTests } from './rust.mjs'
import { filesIn, report, root } from './tree.mjs'

const limit = 400

/** Lines of code: neither empty nor of a comment that begins a line, nor, in Rust, of what is for tests alone. */
export function codeLines(file, text) {
  const source = file.endsWith('.rs') ? withoutTests(text) : text
  return source
    .replace(/^\s*\/\*[\s\S]*?\*\//gm, '')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('//')).length
}

/** Files that are too long, and exceptions that are none any more; `folders` are of sources, and not of tests. */
export function checkLines(tree, { folders, exceptions = {} }) {
  const files = folders.flatMap((folder) => filesIn(tree, folder))
  const long = new Map()
  for (const file of files.filter((each) => /\.(m?ts|rs)$/.test(each) && !/\/tests(\.rs|\/)/.test(each))) {
    const count = codeLines(file, readFileSync(join(tree, file), 'utf8'))
    if (count > limit) long.set(file, count)
  }
  const problems = Array.from(long)
    .filter(([file]) => !(file in exceptions))
    .map(([file, count]) => `${file} has ${count} lines of code, more than ${limit}`)
  const stale = Object.keys(exceptions).filter((file) => !long.has(file))
  return [
    ...problems,
    ...stale.map((file) => `${file} is an exception, and has no more than ${limit} lines of code`),
  ]
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const exceptions = JSON.parse(readFileSync(join(root, 'scripts/checks/long-files.json'), 'utf8'))
  const folders = ['src-ts', 'crates/core/src', 'crates/node/src', 'crates/bench/src']
  const problems = checkLines(root, { folders, exceptions })
  report('lines', problems, `, ${Object.keys(exceptions).length} exceptions`)
}
