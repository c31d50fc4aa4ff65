// Which tests of Node.js are run, and where they come from.
//
// They are those of Node.js 24.12.0, unchanged, under its licence, which comes with them. They are fetched, and kept in
// `.long/node-tests`: this repository has none of their text.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'

/** A copy of the folder `test` of Node.js 24.12.0. A commit is its content: another content would have another name. */
const source = 'https://github.com/denoland/node_test.git'
const commit = '170b25ab9080b9d58d21b582fbf28ee5676b8387'

/** The last folder of a checkout that was completed. */
const done = 'LICENSE'
const wanted = ['/LICENSE', '/test/parallel/test-net-*', '/test/common/', '/test/fixtures/keys/']

/**
 * Fetches the tests, once.
 *
 * @returns the folder that has them, or `undefined` where they cannot be had
 */
export function fetchTests(folder) {
  if (!existsSync(join(folder, done))) {
    mkdirSync(folder, { recursive: true })
    const git = (...args) =>
      spawnSync('git', args, { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] }).status === 0
    const isFetched =
      git('init', '--quiet') &&
      git('sparse-checkout', 'set', '--no-cone', ...wanted) &&
      git('fetch', '--quiet', '--depth', '1', '--filter', 'blob:none', source, commit) &&
      git(
        '-c',
        `remote.origin.url=${source}`,
        '-c',
        'remote.origin.promisor=true',
        'checkout',
        '--quiet',
        commit,
      )
    if (!isFetched) return undefined
  }
  return join(folder, 'test')
}

const handle = 'replaces or reads members of the handle, which is no public part of a socket'
const internals = 'loads modules of Node.js that no program can load'

/** Tests of what no program can use, and one that leaves the machine. */
export const excluded = new Map([
  ['test-net-connect-options-fd.js', internals],
  ['test-net-end-close.js', internals],
  ['test-net-listen-handle-in-cluster-2.js', internals],
  ['test-net-normalize-args.js', internals],
  ['test-net-persistent-nodelay.js', internals],
  ['test-net-persistent-ref-unref.js', internals],
  ['test-net-server-listen-handle.js', internals],
  ['test-net-connect-keepalive.js', handle],
  ['test-net-connect-nodelay.js', handle],
  ['test-net-server-keepalive.js', handle],
  ['test-net-server-nodelay.js', handle],
  ['test-net-socket-setnodelay.js', handle],
  ['test-net-socket-write-after-close.js', handle],
  ['test-net-listen-invalid-port.js', 'reads the key by which a cluster knows the address of a server'],
  [
    'test-net-autoselectfamily.js',
    'dials addresses of the internet; happy-eyeballs.test.mts has what it is about',
  ],
])

/** Public tests that differ, and why. */
export const explained = new Map([
  [
    'test-net-listen-handle-in-cluster-1.js',
    'sends a server to another process, which Node.js does with a handle of its own alone',
  ],
  [
    'test-net-perf_hooks.js',
    "wants entries of Node's own performance timeline, which take a module of its inside",
  ],
])
