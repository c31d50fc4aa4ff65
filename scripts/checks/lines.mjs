// Counts the lines of code of each file, without comments and tests: so many at most, but for the exceptions.
//
//   node scripts/checks/lines.mjs

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { withoutTests } from './rust.mjs'

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
export function checkLines(root, { folders, exceptions = {} }) {
  const files = folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((path) => `${folder}/${path}`),
  )
  const long = new Map()
  for (const file of files.filter((each) => /\.(m?ts|rs)$/.test(each) && !/\/tests(\.rs|\/)/.test(each))) {
    const count = codeLines(file, readFileSync(join(root, file), 'utf8'))
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
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const exceptions = JSON.parse(readFileSync(join(root, 'scripts/checks/long-files.json'), 'utf8'))
  const folders = ['src-ts', 'crates/core/src', 'crates/node/src', 'crates/bench/src']
  const problems = checkLines(root, { folders, exceptions })
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  process.stdout.write(`lines: ${problems.length} problems, ${Object.keys(exceptions).length} exceptions\n`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
