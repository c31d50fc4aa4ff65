// What is measured, and what the figures should reach.

const KIBIBYTE = 1024

/**
 * A ratio of throughputs that is aimed at.
 *
 * @typedef {object} Target
 * @property {import('./peers.mjs').PeerName} to The server that netpoll is compared with.
 * @property {number} least
 * @property {number} goal
 */

/**
 * A load at full speed, the same for every server.
 *
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string} title
 * @property {boolean} main Whether it belongs to the short run.
 * @property {'tcp' | 'unix'} transport
 * @property {number} connections
 * @property {number} inFlight Requests in flight on each connection.
 * @property {number} size Bytes of payload.
 * @property {readonly Target[]} targets
 */

/** @type {Scenario} */
export const TCP_100 = {
  name: 'tcp-100x1',
  title: 'TCP, 100 connections × 1 in flight, 1 KiB',
  main: true,
  transport: 'tcp',
  connections: 100,
  inFlight: 1,
  size: KIBIBYTE,
  targets: [
    { to: 'bare', least: 0.85, goal: 0.95 },
    { to: 'node', least: 1.5, goal: 2 },
  ],
}

/** @type {readonly Scenario[]} */
export const SCENARIOS = [
  TCP_100,
  {
    name: 'tcp-4x64',
    title: 'TCP, 4 connections × 64 in flight, 1 KiB',
    main: true,
    transport: 'tcp',
    connections: 4,
    inFlight: 64,
    size: KIBIBYTE,
    targets: [
      { to: 'bare', least: 0.4, goal: 0.6 },
      { to: 'node', least: 6, goal: 10 },
    ],
  },
  {
    name: 'unix-100x1',
    title: 'unix socket, 100 connections × 1 in flight, 1 KiB',
    main: true,
    transport: 'unix',
    connections: 100,
    inFlight: 1,
    size: KIBIBYTE,
    targets: [{ to: 'bare', least: 0.75, goal: 0.9 }],
  },
  {
    name: 'unix-4x64',
    title: 'unix socket, 4 connections × 64 in flight, 1 KiB',
    main: false,
    transport: 'unix',
    connections: 4,
    inFlight: 64,
    size: KIBIBYTE,
    targets: [],
  },
  {
    name: 'tcp-20x32k',
    title: 'TCP, 20 connections × 1 in flight, 32 KiB',
    main: false,
    transport: 'tcp',
    connections: 20,
    inFlight: 1,
    size: 32 * KIBIBYTE,
    targets: [{ to: 'bare', least: 0.85, goal: 0.95 }],
  },
]

/** Everything that can be asked for by name, in the order in which it runs. */
export const EXPERIMENTS = [
  ...SCENARIOS.map(({ name, main }) => ({ name, main })),
  { name: 'half-load', main: false },
  { name: 'idle', main: false },
  { name: 'memory', main: false },
]
