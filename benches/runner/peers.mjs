// The servers that are measured beside each other, and how each is started.

import { existsSync } from 'node:fs'

import {
  BENCH_PROGRAM,
  BUN,
  GO_PEERS,
  NETTY_CLASSES,
  NETTY_LIBRARIES,
  PACKAGE,
  TOKIO_SERVER,
} from './built.mjs'
import { fromRoot } from './paths.mjs'

/**
 * @typedef {object} ServerRequest
 * @property {'tcp' | 'unix'} transport
 * @property {string} address What to listen on.
 * @property {readonly string[]} [options] More words for the server.
 */

/**
 * What a server is made of.
 *
 * @typedef {'netpoll' | 'node' | 'bun' | 'go' | 'netty' | 'tokio' | 'bare'} Family
 */

/**
 * What the short run measures; each names a family and its main server.
 *
 * @typedef {'netpoll' | 'node' | 'bare'} MainFamily
 */

/** @type {readonly MainFamily[]} */
export const FAMILIES = ['netpoll', 'node', 'bare']

/**
 * @typedef {'netpoll' | 'netpollPollers' | 'netpollWorkers' | 'netpollStream' | 'netpollByReference' | 'netpollBuffers'
 *   | 'netpollAlone'
 *   | 'netpollContexts' | 'netpollTimers' | 'netpollHttp' | 'netpollTransfer'
 *   | 'node' | 'nodeCorked' | 'nodeCluster' | 'nodeHttp' | 'nodeTransfer'
 *   | 'bun' | 'bunBatched'
 *   | 'goNet' | 'goNetBatched' | 'goNetMux' | 'goNetpoll' | 'goNetpollBatched' | 'goNetpollMux'
 *   | 'gnet' | 'evio' | 'netty' | 'tokio' | 'bare' | 'bareTransfer'} PeerName
 */

/**
 * @typedef {object} Peer
 * @property {string} label
 * @property {Family} family
 * @property {boolean} collects Whether it has a garbage collector to be asked to run.
 * @property {readonly string[]} inverted Words that make its replies messages of their own, where they are
 *   not anyway.
 * @property {readonly string[]} needs Files that must have been built.
 * @property {(request: ServerRequest) => readonly string[]} command
 */

const INVERTED = ['--reply', 'inverted']

/** @type {Readonly<Record<PeerName, Peer>>} */
export const PEERS = {
  netpoll: ours('netpoll', 'netpoll.mjs'),
  netpollAlone: ours('netpoll, no idle ones', 'netpoll.mjs'),
  netpollPollers: ours('netpoll, poller thread', 'netpoll.mjs', ['--pollers', '1']),
  netpollWorkers: ours('netpoll, workers', 'netpoll-workers.mjs'),
  netpollByReference: ours('netpoll, by reference', 'netpoll.mjs', ['--by-reference']),
  netpollBuffers: ours('netpoll, Buffer replies', 'netpoll.mjs', ['--plain-buffers']),
  netpollStream: ours('netpoll, stream', 'netpoll-stream.mjs'),
  netpollContexts: ours('netpoll, a context for each', 'netpoll.mjs', ['--contexts']),
  netpollTimers: ours('netpoll, timers armed', 'netpoll.mjs', ['--timers']),
  netpollHttp: ours('http over netpoll', 'http-netpoll.mjs'),
  netpollTransfer: ours('netpoll', 'netpoll-transfer.mjs'),
  node: onNode('node:net', 'peers/node-net.mjs'),
  nodeCorked: onNode('node:net, corked', 'peers/node-net-corked.mjs'),
  nodeCluster: onNode('node:cluster', 'peers/node-cluster.mjs'),
  nodeHttp: onNode('http over node:net', 'servers/http-node.mjs'),
  nodeTransfer: onNode('node:net', 'servers/node-net-transfer.mjs'),
  bun: onBun('Bun.listen', 'bun-listen.mjs'),
  bunBatched: onBun('Bun.listen, batched', 'bun-listen-batched.mjs'),
  goNet: inGo('Go net', 'net'),
  goNetBatched: inGo('Go net, batched', 'net-batched'),
  goNetMux: inGo('Go net, mux', 'net-mux'),
  goNetpoll: inGo('Go Netpoll', 'netpoll'),
  goNetpollBatched: inGo('Go Netpoll, batched', 'netpoll-batched'),
  goNetpollMux: inGo('Go Netpoll, mux', 'netpoll-mux'),
  gnet: inGo('gnet', 'gnet'),
  evio: inGo('evio', 'evio'),
  netty: onNetty(),
  tokio: onTokio(),
  bare: onMio('server', INVERTED),
  bareTransfer: onMio('transfer-server', []),
}

/**
 * @param {readonly PeerName[]} peers
 * @param {readonly Family[]} families
 */
export const selectPeers = (peers, families) => peers.filter((peer) => families.includes(PEERS[peer].family))

/**
 * @param {string} program
 * @param {readonly string[]} words
 * @param {ServerRequest} request
 */
const listening = (program, words, { transport, address, options = [] }) => [
  ...[program, ...words, `--${transport}`, address],
  ...options,
]

/**
 * @param {string} label
 * @param {string} file
 * @param {readonly string[]} [always] Words that this peer is always started with.
 * @returns {Peer}
 */
function ours(label, file, always = []) {
  const peer = onNode(label, `servers/${file}`, always)
  return { ...peer, family: 'netpoll', needs: [PACKAGE] }
}

/**
 * @param {string} label
 * @param {string} file
 * @param {readonly string[]} [always]
 * @returns {Peer}
 */
function onNode(label, file, always = []) {
  const script = fromRoot(`benches/${file}`)
  return {
    label,
    family: 'node',
    collects: true,
    inverted: INVERTED,
    needs: [],
    command: (request) => listening(process.execPath, ['--expose-gc', script, ...always], request),
  }
}

/**
 * @param {string} label
 * @param {string} file
 * @returns {Peer}
 */
function onBun(label, file) {
  const script = fromRoot(`benches/peers/${file}`)
  return {
    label,
    family: 'bun',
    collects: true,
    inverted: INVERTED,
    needs: [BUN],
    command: (request) => listening(BUN, ['--expose-gc', script], request),
  }
}

/**
 * @param {string} label
 * @param {string} name
 * @returns {Peer}
 */
function inGo(label, name) {
  return {
    label,
    family: 'go',
    collects: true,
    inverted: [],
    needs: [GO_PEERS],
    command: (request) => listening(GO_PEERS, ['server', name], request),
  }
}

/** @returns {Peer} */
function onNetty() {
  const words = [
    '-Dio.netty.leakDetection.level=disabled',
    ...['-cp', `${NETTY_CLASSES}:${NETTY_LIBRARIES}/*`, 'netpoll.bench.Server'],
  ]
  return {
    label: 'Netty',
    family: 'netty',
    collects: true,
    inverted: [],
    needs: [NETTY_CLASSES, NETTY_LIBRARIES],
    command: (request) => listening('java', words, request),
  }
}

/** @returns {Peer} */
function onTokio() {
  return {
    label: 'tokio',
    family: 'tokio',
    collects: false,
    inverted: [],
    needs: [TOKIO_SERVER],
    command: (request) => listening(TOKIO_SERVER, [], request),
  }
}

/**
 * @param {string} subcommand
 * @param {readonly string[]} inverted
 * @returns {Peer}
 */
function onMio(subcommand, inverted) {
  return {
    label: 'bare loop',
    family: 'bare',
    collects: false,
    inverted,
    needs: [BENCH_PROGRAM],
    command: (request) => [...listening(BENCH_PROGRAM, [subcommand], request), '--exit-with-stdin'],
  }
}

/**
 * Finds out early what has not been built.
 *
 * @param {readonly MainFamily[]} names
 */
export function checkBuilt(names) {
  const needed = [BENCH_PROGRAM, ...(names.includes('netpoll') ? [PACKAGE] : [])]
  const missing = needed.filter((path) => !existsSync(path))
  if (missing.length > 0) {
    throw new Error(`${missing.join(' and ')} not built: \`npm run bench\` builds it first`)
  }
}
