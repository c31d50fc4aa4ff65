// What is measured, and what the figures should reach.

const KIBIBYTE = 1024

/**
 * A load at full speed, the same for every server.
 *
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string} experiment What it is asked for by, with others or alone.
 * @property {string} title
 * @property {boolean} main Whether it belongs to the short run.
 * @property {import('./peers.mjs').PeerName} subject The server that is compared
 * @property {readonly import('./peers.mjs').PeerName[]} others with these.
 * @property {'tcp' | 'unix'} transport
 * @property {import('./bench.mjs').Shape} shape
 * @property {readonly import('./ratios.mjs').Target[]} targets
 */

/**
 * @param {number} connections
 * @param {number} inFlight
 * @param {number} [size]
 * @returns {import('./bench.mjs').Shape}
 */
const echoes = (connections, inFlight, size = KIBIBYTE) => ({
  protocol: 'frames',
  connections,
  inFlight,
  size,
})

/**
 * The same server on everything.
 *
 * @param {Omit<Scenario, 'experiment' | 'subject' | 'others'>} scenario
 * @returns {Scenario}
 */
const echo = (scenario) => ({
  ...scenario,
  experiment: scenario.name,
  subject: 'netpoll',
  others: ['node', 'bare'],
})

export const TCP_100 = echo({
  name: 'tcp-100x1',
  title: 'TCP, 100 connections × 1 in flight, 1 KiB',
  main: true,
  transport: 'tcp',
  shape: echoes(100, 1),
  targets: [
    { to: 'bare', least: 0.85, goal: 0.95 },
    { to: 'node', least: 1.5, goal: 2 },
  ],
})

const TCP_4 = echo({
  name: 'tcp-4x64',
  title: 'TCP, 4 connections × 64 in flight, 1 KiB',
  main: true,
  transport: 'tcp',
  shape: echoes(4, 64),
  targets: [
    { to: 'bare', least: 0.4, goal: 0.6 },
    { to: 'node', least: 6, goal: 10 },
  ],
})

/** @type {readonly Scenario[]} */
export const SCENARIOS = [
  TCP_100,
  TCP_4,
  echo({
    name: 'unix-100x1',
    title: 'unix socket, 100 connections × 1 in flight, 1 KiB',
    main: true,
    transport: 'unix',
    shape: echoes(100, 1),
    targets: [{ to: 'bare', least: 0.75, goal: 0.9 }],
  }),
  echo({
    name: 'unix-4x64',
    title: 'unix socket, 4 connections × 64 in flight, 1 KiB',
    main: false,
    transport: 'unix',
    shape: echoes(4, 64),
    targets: [],
  }),
  echo({
    name: 'tcp-20x32k',
    title: 'TCP, 20 connections × 1 in flight, 32 KiB',
    main: false,
    transport: 'tcp',
    shape: echoes(20, 1, 32 * KIBIBYTE),
    targets: [{ to: 'bare', least: 0.85, goal: 0.95 }],
  }),
  inJavaScript(TCP_100, 0.8),
  inJavaScript(TCP_4, 0.5),
  withContexts(TCP_100),
  withContexts(TCP_4),
  withTimers(TCP_100),
  withTimers(TCP_4),
  {
    name: 'http',
    experiment: 'http',
    title: 'HTTP/1.1 by node:http, TCP, 100 kept connections × 1 request',
    main: false,
    subject: 'netpollHttp',
    others: ['nodeHttp'],
    transport: 'tcp',
    shape: { protocol: 'http', connections: 100 },
    targets: [{ to: 'nodeHttp', least: 0.9 }],
  },
]

/** Everything that can be asked for by name, in the order in which it runs. */
export const EXPERIMENTS = [
  ...new Map(SCENARIOS.map(({ experiment, main }) => [experiment, { name: experiment, main }])).values(),
  { name: 'half-load', main: false },
  { name: 'transfer', main: false },
  { name: 'idle', main: false },
  { name: 'memory', main: false },
]

/**
 * The same load, with messages cut in JavaScript beside those that the core cuts.
 *
 * @param {Scenario} scenario
 * @param {number} least
 * @returns {Scenario}
 */
function inJavaScript(scenario, least) {
  return {
    ...scenario,
    name: `stream-${scenario.name}`,
    experiment: 'stream',
    title: `Messages cut in JavaScript: ${scenario.title}`,
    main: false,
    subject: 'netpollStream',
    others: ['netpoll', 'bare'],
    targets: [{ to: 'netpoll', least }],
  }
}

/**
 * The same load, with and without an asynchronous context for each request.
 *
 * @param {Scenario} scenario
 * @returns {Scenario}
 */
function withContexts(scenario) {
  return {
    ...scenario,
    name: `contexts-${scenario.name}`,
    experiment: 'contexts',
    title: `AsyncLocalStorage in use: ${scenario.title}`,
    main: false,
    subject: 'netpollContexts',
    others: ['netpoll'],
    targets: [],
  }
}

/**
 * The same load, with every time limit set and 100,000 calls waiting under a limit of their own.
 *
 * @param {Scenario} scenario
 * @returns {Scenario}
 */
function withTimers(scenario) {
  return {
    ...scenario,
    name: `timers-${scenario.name}`,
    experiment: 'timers',
    title: `100,000 timers armed: ${scenario.title}`,
    main: false,
    subject: 'netpollTimers',
    others: ['netpoll'],
    targets: [{ to: 'netpoll', least: 0.95 }],
  }
}
