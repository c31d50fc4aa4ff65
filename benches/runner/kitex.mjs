// Builds the Kitex program, where Go is installed.

import { spawnSync } from 'node:child_process'
import { cpSync } from 'node:fs'
import { delimiter, join } from 'node:path'

import { fromRoot } from './paths.mjs'

// Where Go is installed by its own archive, which changes no PATH.
const env = { ...process.env, PATH: [process.env['PATH'], '/usr/local/go/bin'].join(delimiter) }
const folder = fromRoot('.interop/bench-kitex')

/** @param {readonly string[]} words */
function go(words) {
  const { status } = spawnSync('go', words, { cwd: folder, env, stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) throw new Error(`go ${words.join(' ')} has failed`)
}

/** The program; none without Go. @returns {string | undefined} */
export function buildKitex() {
  if (spawnSync('go', ['version'], { env }).status !== 0) return undefined
  cpSync(fromRoot('benches/rpc/kitex'), folder, { recursive: true })
  go(['tool', 'kitex', '-module', 'kitexbench', '-no-dependency-check', fromRoot('benches/rpc/echo.thrift')])
  go(['build', '-o', 'program', '.'])
  return join(folder, 'program')
}
