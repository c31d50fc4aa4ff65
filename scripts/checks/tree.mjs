// What the checks have in common: the files of a folder, and how they tell what is wrong.

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** All files in `folder`, by names that begin with that of the folder; none where it is not there. */
export function filesIn(tree, folder) {
  if (!existsSync(join(tree, folder))) return []
  const paths = readdirSync(join(tree, folder), { recursive: true, encoding: 'utf8' })
  return paths.map((path) => `${folder}/${path}`)
}

/** Prints what is wrong; the process fails if anything is. */
export function report(check, problems, rest = '') {
  for (const problem of problems) process.stderr.write(`${problem}\n`)
  process.stdout.write(`${check}: ${problems.length} problems${rest}\n`)
  process.exitCode = problems.length > 0 ? 1 : 0
}
