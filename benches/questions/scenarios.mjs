// The server test: what is asked of every server. Scenarios 1 to 3 are those of cloudwego/netpoll-benchmark.

import { FORM_PEERS } from '../runner/peers.mjs'
import { COLUMNS } from './section.mjs'

const KIBIBYTE = 1024
/** Seconds that a request may take. */
export const TIMEOUT = 1

/** How many requests are under way at a time. */
export const CONCURRENCIES = /** @type {const} */ ([100, 500, 1000])

/** @type {readonly PeerName[]} */
const OURS = ['netpoll', 'netpollAllocate', 'netpollStream', 'netpollPollers', 'netpollWorkers']
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
const IN_GO = ['goNet', 'goNetMux', 'goNetBatched', 'goNetpoll', 'goNetpollMux', 'goNetpollBatched']

/**
 * Servers for loads with many requests at a time on a connection: also those that batch by hand, or answer
 * each request in a task of its own.
 *
 * @type {readonly PeerName[]}
 */
const MANY_AT_A_TIME = [...OURS, ...IN_JAVASCRIPT, ...IN_GO, ...OTHERS]

/**
 * Servers of the sweep of sizes: each form of our handler, and peers.
 *
 * @type {readonly PeerName[]}
 */
export const OF_ALL_SIZES = [...FORM_PEERS, 'node', 'bun', 'goNet', 'goNetpoll', ...OTHERS]

/** @type {readonly PeerName[]} */
export const SHORT = [...FORM_PEERS, 'node', 'bare']

const COLUMNS_OF_LOADS = [
  ...[COLUMNS.rate, COLUMNS.cpu, COLUMNS.p50, COLUMNS.p99, COLUMNS.p999, COLUMNS.memory],
]

/**
 * As many connections as requests under way.
 *
 * @param {number} connections
 * @param {number} [size]
 * @returns {Frames}
 */
export const pool = (connections, size = KIBIBYTE) => ({ protocol: 'frames', connections, inFlight: 1, size })

/** Four connections for all requests. @param {number} concurrency @returns {Frames} */
const mux = (concurrency) => ({ ...pool(4), inFlight: concurrency / 4, anyOrder: true })

/**
 * @param {Pick<Scenario, 'id' | 'group' | 'title' | 'about' | 'peers' | 'shape'> & Partial<Scenario>} what
 * @returns {Scenario}
 */
function scenario(what) {
  const short = what.short ?? SHORT.filter((peer) => what.peers.includes(peer))
  return { transport: 'tcp', columns: COLUMNS_OF_LOADS, goals: short, ...what, short }
}

/**
 * The peers of a scenario that a run measures.
 *
 * @param {Pick<Scenario, 'peers' | 'short' | 'goals'>} scenario
 * @param {Scope} scope
 */
export const peersOf = ({ peers, short, goals }, scope) =>
  scope === 'full' ? peers : scope === 'goals' ? goals : short

/** The forms first, then the other peers. @param {readonly PeerName[]} peers */
const withForms = (peers) => [...new Set([...FORM_PEERS, ...peers])]

/** @param {number} concurrency @returns {readonly Scenario[]} */
const threeScenarios = (concurrency) => [
  scenario({
    id: `pool-${concurrency}`,
    group: 'Scenario 1: a pool of long connections',
    title: `${concurrency} connections`,
    about: 'Each connection has one request of 1 KiB under way.',
    peers: concurrency === 100 ? withForms(ONE_AT_A_TIME) : ONE_AT_A_TIME,
    goals: [...SHORT, 'bun', 'goNet', 'goNetpoll', 'gnet', 'evio', 'netty'],
    shape: pool(concurrency),
  }),
  scenario({
    id: `idle-${concurrency}`,
    group: 'Scenario 2: the same with 80 % idle connections',
    title: `${concurrency} connections beside ${4 * concurrency} idle ones`,
    about: 'Four times as many connections are open beside those of scenario 1 and send nothing.',
    peers: ['netpoll', ALONE, ...ONE_AT_A_TIME.slice(1)],
    shape: { ...pool(concurrency), idle: 4 * concurrency },
  }),
  scenario({
    id: `mux-${concurrency}`,
    group: 'Scenario 3: multiplexing over 4 connections',
    title: `4 connections × ${concurrency / 4} requests`,
    about: 'Four connections carry all requests of 1 KiB; replies may come in any order.',
    peers: concurrency === 100 ? withForms(MANY_AT_A_TIME) : MANY_AT_A_TIME,
    shape: mux(concurrency),
  }),
]

/** By scenario, then by concurrency. */
const NETPOLL_BENCHMARK = [0, 1, 2].flatMap((index) =>
  CONCURRENCIES.flatMap((concurrency) => threeScenarios(concurrency)[index] ?? []),
)

const UNIX = { group: 'Unix sockets', transport: /** @type {const} */ ('unix') }
const LOADED = {
  group: 'Deeper batches',
  about: 'Each of four connections has 64 requests of 1 KiB under way.',
}
/** What everything over TLS has in common. */
export const TLS = { group: 'TLS 1.3, AES-128-GCM, ECDSA P-256' }
/** @type {readonly PeerName[]} */
const ENCRYPTED = [...FORM_PEERS, 'netpollPollers', 'netpollWorkers', 'node', 'bun', 'goNet', 'bare']
/** What handshakes cost is told of one form: all have the same. @type {readonly PeerName[]} */
const SHAKING_HANDS = ['netpoll', 'node', 'bun', 'goNet', 'bare']
const WAYS = { group: 'Other ways to run it', about: 'The load of the scenario that the title names.' }

/**
 * The same loads on a server that does more.
 *
 * @param {string} name
 * @param {string} title
 * @param {readonly PeerName[]} peers The first is the one in question.
 */
const variants = (name, title, peers) =>
  [
    { load: 'tcp-100x1', text: 'TCP, 100 connections × 1', shape: pool(100) },
    { load: 'tcp-4x64', text: 'TCP, 4 connections × 64', shape: mux(256) },
  ].map(({ load, text, shape }) =>
    scenario({ ...WAYS, id: `${name}-${load}`, title: `${title}: ${text}`, peers, short: peers, shape }),
  )

/** @param {Pick<Scenario, 'id' | 'title' | 'about' | 'peers' | 'shape'> & Partial<Scenario>} what */
const encrypted = (what) => scenario({ ...TLS, transport: 'tls', goals: what.peers, ...what })

const HANDSHAKES = {
  about: 'Each of 50 connections at a time shakes hands, sends 64 B, gets its reply, and is closed.',
  columns: [
    { ...COLUMNS.cpu, label: 'CPU/connection' },
    { ...COLUMNS.rate, label: 'connections/s' },
  ],
  peers: SHAKING_HANDS,
}
const SHAKE = { protocol: /** @type {const} */ ('churn'), connections: 50, size: 64 }

/** @type {readonly Scenario[]} */
const TLS_SCENARIOS = [
  encrypted({
    id: 'tls-100x1',
    title: '100 connections × 1 request',
    about: 'Each connection has one request of 1 KiB under way.',
    peers: ENCRYPTED,
    shape: pool(100),
  }),
  encrypted({
    id: 'tls-4x64',
    title: '4 connections × 64 requests',
    about: LOADED.about,
    peers: [...ENCRYPTED, 'nodeCorked', 'bunBatched', 'goNetMux', 'goNetBatched'],
    shape: mux(256),
  }),
  encrypted({
    id: 'tls-20x256k',
    title: '20 connections × 1 request of 256 KiB',
    about: 'A message takes 17 records or more each way.',
    peers: ENCRYPTED,
    shape: pool(20, 256 * KIBIBYTE),
  }),
  encrypted({ ...HANDSHAKES, id: 'tls-full', title: 'Full handshakes', shape: SHAKE }),
  encrypted({
    ...{ ...HANDSHAKES, id: 'tls-resumed', title: 'Resumed sessions' },
    shape: { ...SHAKE, resumes: true },
  }),
]

/** @type {readonly Scenario[]} */
export const SERVER_SCENARIOS = [
  ...NETPOLL_BENCHMARK,
  scenario({
    ...LOADED,
    id: 'tcp-4x64',
    title: '4 connections × 64 requests',
    peers: withForms(MANY_AT_A_TIME),
    goals: [...SHORT, 'gnet', 'evio', 'netty'],
    shape: mux(256),
  }),
  scenario({
    ...{ ...UNIX, id: 'unix-pool-100', title: '100 connections', about: 'Scenario 1 over unix sockets.' },
    peers: withForms(ONE_AT_A_TIME),
    shape: pool(100),
  }),
  scenario({
    ...{ ...UNIX, id: 'unix-mux-100', title: '4 connections × 25 requests' },
    about: 'Scenario 3 over unix sockets.',
    peers: MANY_AT_A_TIME,
    shape: mux(100),
  }),
  scenario({
    ...{ ...LOADED, ...UNIX, id: 'unix-4x64', title: '4 connections × 64 requests' },
    peers: withForms(ONE_AT_A_TIME),
    shape: mux(256),
  }),
  scenario({
    id: 'tcp-20x32k',
    group: 'Large messages',
    title: '20 connections × 1 request of 32 KiB',
    about: 'The sweep has all sizes.',
    peers: SHORT,
    shape: pool(20, 32 * KIBIBYTE),
  }),
  scenario({
    id: 'churn',
    group: 'Connection churn',
    title: '50 connections at a time',
    about: 'Each connection is opened, sends one request, gets its reply, and is closed.',
    peers: ONE_AT_A_TIME,
    shape: { protocol: 'churn', connections: 50, size: KIBIBYTE },
  }),
  ...variants('stream', 'messages cut in JavaScript', ['netpollStream', 'netpoll', 'bare']),
  ...variants('contexts', 'AsyncLocalStorage in use', ['netpollContexts', 'netpoll']),
  ...variants('timers', '100,000 timers armed', ['netpollTimers', 'netpoll']),
  scenario({
    ...{ ...WAYS, id: 'http', title: 'HTTP/1.1 by node:http, 100 kept connections × 1 request' },
    peers: ['netpollHttp', 'nodeHttp'],
    short: ['netpollHttp', 'nodeHttp'],
    shape: { protocol: 'http', connections: 100 },
  }),
  ...TLS_SCENARIOS,
]

/** @param {string} id */
export function scenarioOf(id) {
  const found = SERVER_SCENARIOS.find((scenario) => scenario.id === id)
  if (found === undefined) throw new Error(`there is no scenario ${id}`)
  return found
}
