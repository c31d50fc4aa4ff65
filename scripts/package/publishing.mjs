// What the workflow of a release publishes by, for those who try it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { root } from './targets.mjs'

/** The commands of the step that publishes. They take `packages/`, as pack.mjs has made it. */
export function publishCommands() {
  const release = readFileSync(join(root, '.github', 'workflows', 'release.yml'), 'utf8')
  const [, block] = /^ {2}publish:\n[\s\S]*?^ {8}run: \|\n((?: {10}.*\n)+)/m.exec(release) ?? []
  if (block === undefined) throw new Error('release.yml has no commands that publish')
  return block.replaceAll(/^ {10}/gm, '')
}
