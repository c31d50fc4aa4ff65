// The servers that are measured beside each other, and how each is started.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { findProgram } from './program.mjs'

/** @param {string} path */
const fromRoot = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** The load client and bare server; another build may be named for tests. */
export const BENCH_PROGRAM = findProgram()

/**
 * @typedef {object} ServerRequest
 * @property {'tcp' | 'unix'} transport
 * @property {string} address What to listen on.
 * @property {readonly string[]} [options] More words for the servers on Node.
 */

/**
 * What a server is made of.
 *
 * @typedef {'netpoll' | 'node' | 'bare'} Family
 */

/** @type {readonly Family[]} */
export const FAMILIES = ['netpoll', 'node', 'bare']

/**
 * @typedef {Family | 'netpollStream' | 'netpollContexts' | 'netpollTimers' | 'netpollHttp' | 'nodeHttp'
 *   | 'netpollTransfer' | 'nodeTransfer' | 'bareTransfer'} PeerName
 */

/**
 * @typedef {object} Peer
 * @property {string} label
 * @property {Family} family
 * @property {boolean} collects Whether it has a garbage collector to be asked to run.
 * @property {(request: ServerRequest) => readonly string[]} command
 */

/** @type {Readonly<Record<PeerName, Peer>>} */
export const PEERS = {
  netpoll: onNode('netpoll', 'netpoll', 'netpoll.mjs'),
  node: onNode('node', 'node:net', 'node-net.mjs'),
  bare: onMio('server'),
  netpollStream: onNode('netpoll', 'netpoll, cut in JavaScript', 'netpoll-stream.mjs'),
  netpollContexts: onNode('netpoll', 'netpoll, a context for each', 'netpoll.mjs', ['--contexts']),
  netpollTimers: onNode('netpoll', 'netpoll, timers armed', 'netpoll.mjs', ['--timers']),
  netpollHttp: onNode('netpoll', 'http over netpoll', 'http-netpoll.mjs'),
  nodeHttp: onNode('node', 'http over node:net', 'http-node.mjs'),
  netpollTransfer: onNode('netpoll', 'netpoll', 'netpoll-transfer.mjs'),
  nodeTransfer: onNode('node', 'node:net', 'node-net-transfer.mjs'),
  bareTransfer: onMio('transfer-server'),
}

/**
 * @param {readonly PeerName[]} peers
 * @param {readonly Family[]} families
 */
export const selectPeers = (peers, families) => peers.filter((peer) => families.includes(PEERS[peer].family))

/**
 * @param {Family} family
 * @param {string} label
 * @param {string} file
 * @param {readonly string[]} [always] Words that this peer is always started with.
 * @returns {Peer}
 */
function onNode(family, label, file, always = []) {
  const script = fromRoot(`benches/servers/${file}`)
  return {
    label,
    family,
    collects: true,
    command: ({ transport, address, options = [] }) => [
      ...[process.execPath, '--expose-gc', script, `--${transport}`, address],
      ...always,
      ...options,
    ],
  }
}

/**
 * @param {string} subcommand
 * @returns {Peer}
 */
function onMio(subcommand) {
  return {
    label: 'bare loop',
    family: 'bare',
    collects: false,
    command: ({ transport, address }) => [
      ...[BENCH_PROGRAM, subcommand, `--${transport}`, address],
      '--exit-with-stdin',
    ],
  }
}

/**
 * Finds out early what has not been built.
 *
 * @param {readonly Family[]} names
 */
export function checkBuilt(names) {
  const subject = fileURLToPath(import.meta.resolve('netpoll'))
  const needed = [BENCH_PROGRAM, ...(names.includes('netpoll') ? [subject] : [])]
  const missing = needed.filter((path) => !existsSync(path))
  if (missing.length > 0) {
    throw new Error(`${missing.join(' and ')} not built: \`npm run bench\` builds it first`)
  }
}
