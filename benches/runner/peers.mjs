// The servers that are measured beside each other, and how each is started.

import { FORMS } from '../servers/forms.mjs'
import {
  BENCH_PROGRAM,
  BUN,
  CERTIFICATE,
  GO_PEERS,
  NETTY_CLASSES,
  NETTY_LIBRARIES,
  PACKAGE,
  TOKIO_SERVER,
} from './built.mjs'
import { fromRoot } from './paths.mjs'

/** The forms of this package's handler; the first is the ordinary one. */
export const FORM_PEERS = /** @type {readonly FormName[]} */ (Object.keys(FORMS))

const FORM_ENTRIES = /** @type {Readonly<Record<FormName, Peer>>} */ (
  Object.fromEntries(
    FORM_PEERS.map((name) => {
      const { label, reply } = FORMS[name]
      return [name, { ...ours(label, 'netpoll.mjs', ['--form', name]), reply }]
    }),
  )
)

export const PEERS = {
  ...FORM_ENTRIES,
  netpollAlone: ours('netpoll, no idle ones', 'netpoll.mjs'),
  netpollOnConnect: ours('netpoll, onConnect', 'netpoll.mjs', ['--on-connect']),
  netpollPollers: ours('netpoll, poller thread', 'netpoll.mjs', ['--pollers', '1']),
  netpollWorkers: ours('netpoll, workers', 'netpoll-workers.mjs'),
  netpollStream: ours('netpoll, stream', 'netpoll-stream.mjs'),
  netpollContexts: ours('netpoll, a context for each', 'netpoll.mjs', ['--contexts']),
  netpollTimers: ours('netpoll, timers armed', 'netpoll.mjs', ['--timers']),
  netpollHttp: ours('http over netpoll', 'http.mjs', ['--over', 'netpoll']),
  netpollTransfer: ours('netpoll, reader and writer', 'netpoll-transfer.mjs'),
  netpollDuplex: ours('netpoll, toDuplex()', 'stream-transfer.mjs', ['--over', 'netpoll']),
  node: onNode('node:net', 'peers/node-net.mjs'),
  nodeCorked: onNode('node:net, corked', 'peers/node-net.mjs', ['--corked']),
  nodeCluster: onNode('node:cluster', 'peers/node-cluster.mjs'),
  nodeHttp: onNode('http over node:net', 'servers/http.mjs'),
  nodeTransfer: onNode('node:net', 'servers/stream-transfer.mjs'),
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
  netty: native(
    'Netty',
    'netty',
    [NETTY_CLASSES, NETTY_LIBRARIES],
    [
      ...['java', '-Dio.netty.leakDetection.level=disabled'],
      ...['-cp', `${NETTY_CLASSES}:${NETTY_LIBRARIES}/*`, 'netpoll.bench.Server'],
    ],
  ),
  tokio: { ...native('tokio', 'tokio', [TOKIO_SERVER], [TOKIO_SERVER]), collects: false },
  bare: onMio('server', ['--reply', 'inverted']),
  bareTransfer: onMio('transfer-server', []),
}

/** @param {string} label @param {string} file @param {readonly string[]} [words] @returns {Peer} */
function ours(label, file, words) {
  return { ...onNode(label, `servers/${file}`, words), family: 'netpoll', needs: [PACKAGE] }
}

/** @param {string} label @param {string} file @param {readonly string[]} [words] @returns {Peer} */
function onNode(label, file, words = []) {
  const script = fromRoot(`benches/${file}`)
  const peer = native(label, 'node', [], [])
  return { ...peer, tls: encrypts(label), command: (node) => [node, '--expose-gc', script, ...words] }
}

/** @param {string} label @param {string} file */
function onBun(label, file) {
  const command = [BUN, '--expose-gc', fromRoot(`benches/peers/${file}`)]
  return { ...native(label, 'bun', [BUN], command), tls: encrypts(label) }
}

/** @param {string} label @param {string} name */
function inGo(label, name) {
  const peer = native(label, 'go', [GO_PEERS], [GO_PEERS, 'server', name])
  return { ...peer, tls: encrypts(label.replace('Go net', 'Go crypto/tls'), ['--tls', CERTIFICATE]) }
}

/** @param {string} subcommand @param {readonly string[]} after @returns {Peer} */
function onMio(subcommand, after) {
  const peer = native('bare loop', 'bare', [BENCH_PROGRAM], [BENCH_PROGRAM, subcommand])
  const tls = encrypts('bare rustls loop')
  return { ...peer, collects: false, after: [...after, '--exit-with-stdin'], tls }
}

/**
 * How a server encrypts its connections, if it is one of those that TLS is measured on.
 *
 * @param {string} label
 * @param {readonly string[]} [words]
 */
function encrypts(label, words = ['--tls']) {
  return { label: label.replace('node:net', 'node:tls'), words }
}

/**
 * @param {string} label
 * @param {Family} family
 * @param {readonly string[]} needs
 * @param {readonly string[]} command
 * @returns {Peer}
 */
function native(label, family, needs, command) {
  return { label, family, collects: true, reply: 'inverted', needs, command: () => command }
}
