// The servers that are measured beside each other, and how each is started.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** @param {string} path */
const fromRoot = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** The load client and bare server; another build may be named for tests. */
export const BENCH_PROGRAM = process.env.NETPOLL_BENCH ?? fromRoot('target/release/netpoll-bench')

/**
 * @typedef {object} ServerRequest
 * @property {'tcp' | 'unix'} transport
 * @property {string} address What to listen on.
 * @property {readonly string[]} [options] More words for the servers on Node.
 */

/** @typedef {'netpoll' | 'node' | 'bare'} PeerName */

/**
 * @typedef {object} Peer
 * @property {string} label
 * @property {boolean} collects Whether it has a garbage collector to be asked to run.
 * @property {(request: ServerRequest) => readonly string[]} command
 */

/** @type {Readonly<Record<PeerName, Peer>>} */
export const PEERS = {
  netpoll: {
    label: 'netpoll',
    collects: true,
    command: (request) => onNode('netpoll.mjs', request),
  },
  node: {
    label: 'node:net',
    collects: true,
    command: (request) => onNode('node-net.mjs', request),
  },
  bare: {
    label: 'bare loop',
    collects: false,
    command: ({ transport, address }) => [
      BENCH_PROGRAM,
      'server',
      `--${transport}`,
      address,
      '--exit-with-stdin',
    ],
  },
}

/**
 * @param {string} file
 * @param {ServerRequest} request
 */
function onNode(file, { transport, address, options = [] }) {
  const script = fromRoot(`benches/servers/${file}`)
  return [process.execPath, '--expose-gc', script, `--${transport}`, address, ...options]
}

/**
 * Finds out early what has not been built.
 *
 * @param {readonly PeerName[]} names
 */
export function checkBuilt(names) {
  const needed = [BENCH_PROGRAM, ...(names.includes('netpoll') ? [fromRoot('dist/index.mjs')] : [])]
  const missing = needed.filter((path) => !existsSync(path))
  if (missing.length > 0) {
    throw new Error(`${missing.join(' and ')} not built: \`npm run bench\` builds it first`)
  }
}
