// The server test: what is asked of every server. Scenarios 1 to 3 are those of cloudwego/netpoll-benchmark.

const KIBIBYTE = 1024
/** Seconds that a request may take. */
export const TIMEOUT = 1

/** How many requests are under way at a time. */
export const CONCURRENCIES = /** @type {const} */ ([100, 500, 1000])

/** @typedef {import('../runner/peers.mjs').PeerName} PeerName */

/** @type {readonly PeerName[]} */
const OURS = ['netpoll', 'netpollBuffers', 'netpollStream', 'netpollPollers', 'netpollWorkers']
/** @type {readonly PeerName[]} */
const OTHERS = ['gnet', 'evio', 'netty', 'tokio', 'bare']

/**
 * Our server in scenario 2 without its idle connections, in the same rounds: what they cost is told from nothing else.
 *
 * @type {PeerName}
 */
export const ALONE = 'netpollAlone'

/**
 * Servers for loads with one request at a time on a connection.
 *
 * @type {readonly PeerName[]}
 */
export const ONE_AT_A_TIME = [...OURS, 'node', 'bun', 'goNet', 'goNetpoll', ...OTHERS]

/** @type {readonly PeerName[]} */
const IN_JAVASCRIPT = ['node', 'nodeCorked', 'bun', 'bunBatched']
/** @type {readonly PeerName[]} */
const ON_GO_NET = ['goNet', 'goNetMux', 'goNetBatched']
/** @type {readonly PeerName[]} */
const ON_GO_NETPOLL = ['goNetpoll', 'goNetpollMux', 'goNetpollBatched']

/**
 * Servers for loads with many requests at a time on a connection: also those that batch by hand, or answer
 * each request in a task of its own.
 *
 * @type {readonly PeerName[]}
 */
export const MANY_AT_A_TIME = [...OURS, ...IN_JAVASCRIPT, ...ON_GO_NET, ...ON_GO_NETPOLL, ...OTHERS]

/** @type {readonly PeerName[]} */
const OF_ALL_SIZES = [
  'netpoll',
  'netpollBuffers',
  'netpollByReference',
  'netpollStream',
  'node',
  'bun',
  'goNet',
  'goNetpoll',
  ...OTHERS,
]

/**
 * @typedef {object} ServerScenario
 * @property {string} id
 * @property {string} group
 * @property {string} title
 * @property {string} about
 * @property {readonly PeerName[]} peers
 * @property {'tcp' | 'unix'} transport
 * @property {import('../runner/bench.mjs').Shape} shape
 */

/** @typedef {import('../runner/bench.mjs').Frames} Frames */

/**
 * As many connections as requests under way.
 *
 * @param {number} connections
 * @param {number} [size]
 * @returns {Frames}
 */
export const pool = (connections, size = KIBIBYTE) => ({
  protocol: 'frames',
  connections,
  inFlight: 1,
  size,
  reply: 'inverted',
})

/**
 * Four connections for all requests.
 *
 * @param {number} concurrency
 * @returns {Frames}
 */
const mux = (concurrency) => ({ ...pool(4), inFlight: concurrency / 4, anyOrder: true })

/**
 * @param {number} concurrency
 * @returns {readonly ServerScenario[]}
 */
const threeScenarios = (concurrency) => [
  {
    id: `pool-${concurrency}`,
    group: 'Scenario 1: a pool of long connections',
    title: `${concurrency} connections`,
    about: 'Each connection has one request of 1 KiB under way.',
    peers: ONE_AT_A_TIME,
    transport: 'tcp',
    shape: pool(concurrency),
  },
  {
    id: `idle-${concurrency}`,
    group: 'Scenario 2: the same with 80 % idle connections',
    title: `${concurrency} connections beside ${4 * concurrency} idle ones`,
    about: 'Four times as many connections are open beside those of scenario 1 and send nothing.',
    peers: ['netpoll', ALONE, ...ONE_AT_A_TIME.slice(1)],
    transport: 'tcp',
    shape: { ...pool(concurrency), idle: 4 * concurrency },
  },
  {
    id: `mux-${concurrency}`,
    group: 'Scenario 3: multiplexing over 4 connections',
    title: `4 connections × ${concurrency / 4} requests`,
    about: 'Four connections carry all requests of 1 KiB; replies may come in any order.',
    peers: MANY_AT_A_TIME,
    transport: 'tcp',
    shape: mux(concurrency),
  },
]

/** By scenario, then by concurrency. */
const NETPOLL_BENCHMARK = [0, 1, 2].flatMap((index) =>
  CONCURRENCIES.flatMap((concurrency) => threeScenarios(concurrency)[index] ?? []),
)

/**
 * @param {number} size
 * @param {string} title
 * @returns {ServerScenario}
 */
const sized = (size, title) => ({
  id: `size-${size}`,
  group: 'Payload sizes',
  title: `${title}, 20 connections`,
  about: 'Twenty connections have one request each under way.',
  peers: OF_ALL_SIZES,
  transport: 'tcp',
  shape: pool(20, size),
})

/** @type {readonly ServerScenario[]} */
export const SERVER_SCENARIOS = [
  ...NETPOLL_BENCHMARK,
  sized(128, '128 B'),
  sized(KIBIBYTE, '1 KiB'),
  sized(8 * KIBIBYTE, '8 KiB'),
  sized(64 * KIBIBYTE, '64 KiB'),
  sized(1024 * KIBIBYTE, '1 MiB'),
  {
    id: 'unix-pool-100',
    group: 'Unix sockets',
    title: '100 connections',
    about: 'Scenario 1 over unix sockets.',
    peers: ONE_AT_A_TIME,
    transport: 'unix',
    shape: pool(100),
  },
  {
    id: 'unix-mux-100',
    group: 'Unix sockets',
    title: '4 connections × 25 requests',
    about: 'Scenario 3 over unix sockets.',
    peers: MANY_AT_A_TIME,
    transport: 'unix',
    shape: mux(100),
  },
  {
    id: 'churn',
    group: 'Connection churn',
    title: '50 connections at a time',
    about: 'Each connection is opened, sends one request, gets its reply, and is closed.',
    peers: ONE_AT_A_TIME,
    transport: 'tcp',
    shape: { protocol: 'churn', connections: 50, size: KIBIBYTE },
  },
]
