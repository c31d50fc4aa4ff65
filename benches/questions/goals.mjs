// What this package should show.

import { FORM_PEERS } from '../runner/peers.mjs'
import { ALONE, CONCURRENCIES } from './scenarios.mjs'
import { FILLING, SIZES, sizeText, sweepId } from './sweep.mjs'

const SUBJECT = ['netpoll']
const BY_REFERENCE = ['netpollByReference']
const DUPLEX = ['netpollDuplex']
const BARE = ['bare']
const NODE = ['node']
/** That of the build before this one. */
const BEFORE = ['netpollBefore']
const COLLECTED = ['node', 'bun', 'goNet', 'goNetpoll', 'gnet', 'evio', 'netty']
const KIBIBYTE = 1024

/** @type {(value: number, goal?: number) => Limit} */
const least = (value, goal) => ({ side: 'least', value, goal })
/** @type {(value: number, goal?: number) => Limit} */
const most = (value, goal) => ({ side: 'most', value, goal })

/** @typedef {(text: string, section: string, of: Comparison['of'], to: Comparison['to'], limit: Limit) => Comparison} Maker */

/** @type {Maker} */
const rate = (text, section, of, to, limit) => ({ text, section, figure: 'rate', of, to, limit })
/** @type {Maker} */
const cost = (text, section, of, to, limit) => ({ text, section, figure: 'cpu', of, to, limit })

/** @param {number} concurrency */
function poolGoals(concurrency) {
  const [scenario, section] = [`Scenario 1, ${concurrency}`, `pool-${concurrency}`]
  const [fastest, thriftiest] = ['throughput, to the fastest', 'CPU per request, to the thriftiest']
  return [
    rate(`${scenario}: ${fastest} garbage-collected peer`, section, SUBJECT, COLLECTED, least(1)),
    cost(`${scenario}: ${thriftiest} garbage-collected peer`, section, SUBJECT, COLLECTED, most(1)),
    rate(`${scenario}: throughput, to the bare loop`, section, SUBJECT, BARE, least(0.85)),
  ]
}

/** @param {number} concurrency */
function idleGoal(concurrency) {
  const text = `Scenario 2, ${concurrency}: throughput, to scenario 1`
  return { ...rate(text, `idle-${concurrency}`, SUBJECT, [ALONE], least(0.9)), named: 'no idle ones' }
}

/** @param {number} concurrency */
function muxGoals(concurrency) {
  /** @type {(to: readonly string[], needed: number, what: string) => Comparison} */
  const goal = (to, needed, what) => {
    const text = `Scenario 3, ${concurrency}: throughput, to ${what}`
    return rate(text, `mux-${concurrency}`, SUBJECT, to, least(needed))
  }
  return [
    goal(['node', 'bun', 'goNet', 'goNetpoll'], 5, 'the fastest of node:net, Bun, Go net and Netpoll'),
    goal(['goNetpollMux'], 5, "Netpoll's own way of multiplexing"),
    goal(['nodeCorked'], 1.8, 'node:net corked by hand'),
    goal(['gnet', 'evio', 'netty'], 1, 'the fastest of gnet, evio and Netty'),
  ]
}

/** What the loads of the short run aim at; its first three figures are those of replies by reference. */
const HEADLINE = [
  rate('TCP 100 × 1, by reference, to the bare loop', 'pool-100', BY_REFERENCE, BARE, least(0.85, 0.95)),
  rate('TCP 100 × 1, by reference, to node:net', 'pool-100', BY_REFERENCE, NODE, least(1.5, 2)),
  rate('TCP 4 × 64, by reference, to the bare loop', 'tcp-4x64', BY_REFERENCE, BARE, least(0.4, 0.6)),
  rate('TCP 4 × 64, by reference, to node:net', 'tcp-4x64', BY_REFERENCE, NODE, least(6, 10)),
  rate(
    'TCP 20 × 32 KiB, by reference, to the bare loop',
    'tcp-20x32k',
    BY_REFERENCE,
    BARE,
    least(0.85, 0.95),
  ),
  rate('unix 100 × 1, to the bare loop', 'unix-pool-100', SUBJECT, BARE, least(0.75, 0.9)),
  cost('TCP 4 × 64: CPU per request, to the build before', 'tcp-4x64', SUBJECT, BEFORE, most(0.85, 0.75)),
  ...[
    { to: 'bare', name: 'the bare loop', limit: most(1 / 0.55, 1 / 0.75) },
    ...['gnet', 'evio', 'netty'].map((to) => ({ to, name: to, limit: most(1) })),
  ].map(({ to, name, limit }) =>
    cost(`TCP 4 × 64, best form: CPU per request, to ${name}`, 'tcp-4x64', FORM_PEERS, [to], limit),
  ),
]

/** By size in KiB: the limits of replies in `allocate` and in a new `Buffer`, to the bare loop and to `node:net`. */
const SWEEP = [
  { kibibytes: 4, allocate: most(1.6, 1.3), made: most(1.3, 1.1) },
  { kibibytes: 16, allocate: most(1.6, 1.3), made: most(1.3, 1.1), toNode: [most(0.65), most(0.75)] },
  { kibibytes: 32, allocate: most(1.6, 1.3), made: most(1.3, 1.1), toNode: [most(0.6), most(0.7)] },
  { kibibytes: 64, allocate: most(1.6, 1.3), made: most(1.3, 1.1), toNode: [most(0.6), most(0.7)] },
  { kibibytes: 256, allocate: most(1.6, 1.3), made: most(1.3, 1.1), toNode: [most(0.4, 0.3), most(0.45)] },
  { kibibytes: 1024, allocate: most(2, 1.5), made: most(1.6, 1.4), toNode: [most(0.4, 0.3), most(0.45)] },
  { kibibytes: 4096, toNode: [most(0.4, 0.3), most(0.45)] },
]

/** What a reply in a new `Buffer` costs V8 anyway is added to the bare loop. */
const FILLED = { plus: FILLING.id, named: 'bare loop with allocUnsafe and filling' }

/** @returns {readonly Comparison[]} */
function sweepGoals() {
  return SWEEP.flatMap(({ kibibytes, allocate, made, toNode = [] }) => {
    const size = kibibytes * KIBIBYTE
    const [section, text] = [sweepId('tcp', size), `${sizeText(size)}: CPU per request`]
    const forms = /** @type {const} */ ([
      { name: 'allocate', of: ['netpollAllocate'], toBare: allocate, more: {} },
      { name: 'new Buffer', of: SUBJECT, toBare: made, more: FILLED },
    ])
    return forms.flatMap(({ name, of, toBare, more }, index) => [
      ...limited(toBare, (limit) => ({ ...cost(`${text}, ${name}`, section, of, BARE, limit), ...more })),
      ...limited(toNode[index], (limit) => cost(`${text}, ${name}, to node:net`, section, of, NODE, limit)),
    ])
  })
}

/** @type {(limit: Limit | undefined, make: (limit: Limit) => Comparison) => readonly Comparison[]} */
const limited = (limit, make) => (limit === undefined ? [] : [make(limit)])

const CUT = 'Messages cut in JavaScript, to those that the core cuts'

const WAYS = [
  rate(`${CUT}, TCP 100 × 1`, 'stream-tcp-100x1', ['netpollStream'], SUBJECT, least(0.8)),
  rate(`${CUT}, TCP 4 × 64`, 'stream-tcp-4x64', ['netpollStream'], SUBJECT, least(0.5)),
  rate('100,000 timers, TCP 100 × 1', 'timers-tcp-100x1', ['netpollTimers'], SUBJECT, least(0.95)),
  rate('100,000 timers, TCP 4 × 64', 'timers-tcp-4x64', ['netpollTimers'], SUBJECT, least(0.95)),
  rate('HTTP, to node:http', 'http', ['netpollHttp'], ['nodeHttp'], least(0.9)),
  ...['upload', 'download'].flatMap((direction) => {
    const [server, client] = [`transfer-${direction}`, `client-transfer-${direction}`]
    const [reader, net] = [['netpollTransfer'], ['nodeTransfer']]
    return [
      rate(
        `Server, ${direction}: reader and writer, to the bare loop`,
        server,
        reader,
        ['bareTransfer'],
        least(0.8),
      ),
      rate(`Server, ${direction}: reader and writer, to a net.Socket`, server, reader, net, least(1.2)),
      rate(`Server, ${direction}: toDuplex(), to a net.Socket`, server, DUPLEX, net, least(1)),
      rate(`Client, ${direction}: toDuplex(), to a net.Socket`, client, DUPLEX, net, least(1)),
    ]
  }),
]

/** Whichever way of writing is faster there. */
const BY_HAND = ['node', 'nodeCorked']
const GO = ['goNet', 'goNetMux', 'goNetBatched']

/** What encrypted connections should show. */
const TLS = [
  rate('TLS 100 × 1, to node:tls', 'tls-100x1', SUBJECT, NODE, least(2.8, 3.3)),
  rate('TLS 100 × 1, to the bare rustls loop', 'tls-100x1', SUBJECT, BARE, least(0.72)),
  rate('TLS 4 × 64, to node:tls', 'tls-4x64', SUBJECT, BY_HAND, least(1.8, 2.5)),
  rate('TLS 4 × 64, to Go, as a goal', 'tls-4x64', SUBJECT, GO, least(1)),
  rate('TLS 20 × 256 KiB, to node:tls', 'tls-20x256k', SUBJECT, NODE, least(2.3)),
  cost('TLS, full handshake: CPU, to node:tls', 'tls-full', SUBJECT, NODE, most(0.4)),
]

const THRIFTIEST = 'CPU per request, to the thriftiest garbage-collected peer'
const HOT = 'One hot connection, computing handler'

/** @type {readonly Comparison[]} */
export const COMPARISONS = [
  ...[100, 1000].flatMap(poolGoals),
  ...CONCURRENCIES.map(idleGoal),
  ...CONCURRENCIES.flatMap(muxGoals),
  cost(`Half load: ${THRIFTIEST}`, 'half-pool-100', SUBJECT, COLLECTED, most(1.1)),
  cost(`36,000 a second: ${THRIFTIEST}`, 'half-fixed', SUBJECT, COLLECTED, most(1.15)),
  {
    ...rate(
      `${HOT}: workers on two cores, to one thread`,
      'scaling-hot',
      ['netpollWorkers'],
      SUBJECT,
      least(1.8),
    ),
    named: 'one thread',
  },
  rate(`${HOT}: two workers, to one`, 'two-workers', ['workers2'], ['workers1'], least(1.75, 1.9)),
  ...HEADLINE,
  ...sweepGoals(),
  ...WAYS,
  ...TLS,
  cost('Calls of 32 KiB, Pool: CPU, to the build before', 'client-pool-32k', SUBJECT, BEFORE, most(0.75)),
  cost('Calls of 32 KiB, Mux: CPU, to the build before', 'client-mux-32k', SUBJECT, BEFORE, most(0.75)),
  ...['pool', 'mux'].map((sharing) =>
    rate(
      `Thrift, ${sharing}: to thrift on node:net`,
      `thrift-${sharing}`,
      ['netpoll-framed'],
      NODE,
      least(2),
    ),
  ),
  ...['framed', 'ttheader'].map((transport) => {
    const [own, before] = [`netpoll-${transport}`, `netpollBefore-${transport}`]
    return rate(`Thrift Mux, ${transport}: to the build before`, 'thrift-mux', [own], [before], least(1.5))
  }),
  rate('Redis, set: to a write per reply', 'redis-set', SUBJECT, ['nodePerReply'], least(2.5)),
  rate('Redis, set: to a write per chunk', 'redis-set', SUBJECT, ['nodePerChunk'], least(1.3)),
  rate('Redis, get: to a write per reply', 'redis-get', SUBJECT, ['nodePerReply'], least(2.5)),
  rate('Redis, get: to a write per chunk', 'redis-get', SUBJECT, ['nodePerChunk'], least(1.3)),
]

/** @type {readonly Bound[]} */
export const BOUNDS = [
  ...[
    {
      ...{ text: 'TLS, idle connections: memory of each', section: 'tls-idle' },
      ...{ of: 'netpoll', key: 'each', limit: most(8 * KIBIBYTE) },
    },
    {
      ...{ text: 'TLS, a flood of handshakes: p99 of others, to that without', section: 'tls-flood' },
      ...{ of: 'netpoll', key: 'times', limit: most(3) },
    },
  ],
  ...[
    { of: 'turn', text: 'Requests held over a turn' },
    { of: 'long', text: 'Requests held for 100 ms' },
    { of: 'large', text: 'Replies of 32 KiB' },
  ].map(({ of, text }) => ({
    ...{
      text: `${text}: memory, last part to second`,
      section: 'growth',
      of,
      key: 'growth',
      limit: most(1.1),
    },
  })),
  { text: 'Replies of 32 KiB: peak', section: 'growth', of: 'large', key: 'peak', limit: most(150e6) },
  {
    ...{
      text: 'Idle connections: memory of each',
      section: 'idle-memory',
      of: 'netpollOnConnect',
      key: 'each',
    },
    limit: most(1000),
  },
  {
    ...{
      text: 'Idle connections: throughput kept',
      section: 'idle-memory',
      of: 'netpollOnConnect',
      key: 'kept',
    },
    limit: least(0.9),
  },
]

const RISE = { sections: SIZES.map((size) => sweepId('tcp', size)), to: 'bare', limit: most(0.4) }

/** @type {readonly Steps[]} */
export const STEPS = [
  { ...RISE, text: 'Sizes by powers of four, allocate: rise of the ratio', of: 'netpollAllocate' },
  {
    ...RISE,
    text: 'Sizes by powers of four, new Buffer: rise of the ratio',
    of: 'netpoll',
    plus: FILLING.id,
  },
]
