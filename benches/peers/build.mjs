// Builds the servers and clients of others, each as far as its tools are there: what is missing is skipped
// with a line that says so.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter } from 'node:path'

import { BUN, GO_PEERS, GRPC, TOKIO_SERVER } from '../runner/built.mjs'
import { fromRoot } from '../runner/paths.mjs'

/**
 * @typedef {object} Build
 * @property {string} name
 * @property {string} tool The command that it needs.
 * @property {readonly string[]} words
 * @property {string} folder Where it runs.
 * @property {readonly string[]} [made] Nothing is done where these are there already.
 */

/** @type {readonly Build[]} */
const BUILDS = [
  {
    name: 'tokio',
    tool: 'cargo',
    words: ['build', '--release', '--locked', '--package', 'netpoll-bench-tokio'],
    folder: fromRoot(''),
  },
  {
    name: 'Bun and grpc-js',
    tool: 'npm',
    words: ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'],
    folder: fromRoot('benches/peers'),
    made: [BUN, GRPC],
  },
  {
    name: 'Go',
    tool: 'go',
    words: ['build', '-o', GO_PEERS, '.'],
    folder: fromRoot('benches/peers/go'),
  },
  {
    name: 'Netty',
    tool: 'mvn',
    words: ['--quiet', '--batch-mode', '--no-transfer-progress', 'compile'],
    folder: fromRoot('benches/peers/netty'),
  },
]

// Where Go is installed by its own archive, which changes no PATH.
const PATH = [process.env['PATH'], '/usr/local/go/bin'].join(delimiter)

let failed = false
for (const { name, tool, words, folder, made } of BUILDS) {
  if (made?.every((path) => existsSync(path))) continue
  const { error, status } = spawnSync(tool, words, {
    cwd: folder,
    env: { ...process.env, PATH },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  if (error !== undefined) console.log(`${name} is skipped: ${tool} is not installed`)
  else if (status !== 0) {
    failed = true
    console.error(`${name} could not be built`)
  }
}
if (!existsSync(TOKIO_SERVER)) failed = true
process.exitCode = failed ? 1 : 0
