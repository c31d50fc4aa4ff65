// Client test: one server, every client. Callers wait for one reply at a time, each under a time limit.

import { PEERS } from '../runner/peers.mjs'
import { CLIENTS } from '../runner/clients.mjs'
import { processorTime, residentMemory, Service } from '../runner/processes.mjs'
import { progress } from '../runner/progress.mjs'
import { percent, whole } from '../runner/table.mjs'
import { busySide } from '../runner/throughput.mjs'
import { CONCURRENCIES, pool, TIMEOUT } from './scenarios.mjs'
import { middle, row, warningsAbout } from './section.mjs'

const SIZE = 1024
/** A client on a just-in-time compiler needs a while to reach its speed. */
const WARM_UP = 1

/** @type {readonly import('./section.mjs').Column[]} */
const COLUMNS = [
  { key: 'rate', label: 'requests/s', unit: 'rate' },
  { key: 'cpu', label: 'client CPU/request', unit: 'microseconds' },
  { key: 'p50', label: 'p50', unit: 'microseconds' },
  { key: 'p99', label: 'p99', unit: 'microseconds' },
  { key: 'p999', label: 'p99.9', unit: 'microseconds' },
  { key: 'memory', label: 'client memory', unit: 'bytes' },
]

/**
 * @typedef {object} ClientScenario
 * @property {string} id
 * @property {string} title
 * @property {string} about
 * @property {import('../runner/clients.mjs').Sharing} sharing
 * @property {number} connections
 * @property {number} callers
 */

/**
 * @param {number} callers
 * @returns {readonly ClientScenario[]}
 */
const threeScenarios = (callers) => [
  {
    id: `client-pool-${callers}`,
    title: `Scenario 1: ${callers} callers`,
    about: 'As many connections as callers; each call has one alone.',
    sharing: 'pool',
    connections: callers,
    callers,
  },
  {
    id: `client-idle-${callers}`,
    title: `Scenario 2: ${callers} callers, ${5 * callers} connections`,
    about: 'The same with 80 % idle connections.',
    sharing: 'pool',
    connections: 5 * callers,
    callers,
  },
  {
    id: `client-mux-${callers}`,
    title: `Scenario 3: ${callers} callers, 4 connections`,
    about: 'All calls share four connections.',
    sharing: 'mux',
    connections: 4,
    callers,
  },
]

/** @type {readonly ClientScenario[]} */
export const CLIENT_SCENARIOS = [0, 1, 2].flatMap((index) =>
  CONCURRENCIES.flatMap((callers) => threeScenarios(callers)[index] ?? []),
)

/** @typedef {Pick<import('../runner/bench.mjs').Report, 'requestsPerSecond' | 'latencyMicroseconds'>} Replies */

/**
 * What one round of a client comes to.
 *
 * @typedef {Replies & { cpu: number | null, memory: number | null, clientShare: number, serverShare: number }} Round
 */

/**
 * @param {ClientScenario} scenario
 * @param {readonly import('../runner/peers.mjs').PeerName[]} peers Those that are there.
 * @param {import('./options.mjs').Options} options
 * @param {import('../runner/bench.mjs').Bench} server
 * @returns {Promise<import('./section.mjs').Section>}
 */
export async function measureClients(scenario, peers, options, server) {
  const { id, title, about, sharing } = scenario
  const runs = CLIENTS[sharing]
    .filter(({ peer }) => peers.includes(peer))
    .map(({ peer, label, command }) => ({
      named: { peer, label, family: PEERS[peer].family },
      /** @returns {Promise<Round | undefined>} */
      measure: () => runClient(command, scenario, options, server),
      rounds: /** @type {Round[]} */ ([]),
    }))
  if (peers.includes('bare')) {
    runs.push({
      named: { peer: 'bare', label: 'bare loop', family: 'bare' },
      measure: () => runBare(scenario, options, server),
      rounds: [],
    })
  }
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const { named, measure, rounds } of runs) {
      const earlier = rounds.at(-1)
      const before = earlier === undefined ? '' : ` · ${whole(earlier.requestsPerSecond)}/s before`
      progress(`clients · ${title} · round ${round}/${options.rounds} · ${named.label}${before}`)
      const measured = await measure()
      if (measured !== undefined) rounds.push(measured)
    }
  }
  const rows = runs.map(({ named, rounds }) => clientRow(named, rounds))
  return {
    id,
    group: 'Client test',
    title,
    about,
    columns: COLUMNS,
    rows,
    warnings: warningsAbout(rows, 'client'),
  }
}

/**
 * @param {readonly string[]} command
 * @param {ClientScenario} scenario
 * @param {import('./options.mjs').Options} options
 * @param {import('../runner/bench.mjs').Bench} server
 * @returns {Promise<Round>}
 */
async function runClient(command, { connections, callers }, options, server) {
  const warmUp = options.quick ? options.warmUp : WARM_UP
  const asked = { connections, callers, size: SIZE, timeout: TIMEOUT * 1000, 'warm-up': warmUp }
  const words = Object.entries({ ...asked, duration: options.seconds }).flatMap(([name, value]) => [
    `--${name}`,
    String(value),
  ])
  const client = new Service('the client', [...command, ...server.endpoint, ...words], 'client')
  await client.expect('measuring')
  const before = { client: processorTime(client.pid), server: processorTime(server.pid) }
  const line = await client.expect('{')
  const used = {
    client: processorTime(client.pid) - before.client,
    server: processorTime(server.pid) - before.server,
  }
  const memory = residentMemory(client.pid)
  await client.stop()
  const { seconds, requests, latencyMicroseconds } = JSON.parse(`{${line}`)
  return {
    requestsPerSecond: requests / seconds,
    latencyMicroseconds,
    cpu: (used.client * 1e6) / requests,
    memory,
    clientShare: used.client / seconds,
    serverShare: used.server / seconds,
  }
}

/**
 * The load client itself, asleep while no reply is there, as the others are.
 *
 * @param {ClientScenario} scenario
 * @param {import('./options.mjs').Options} options
 * @param {import('../runner/bench.mjs').Bench} server
 * @returns {Promise<Round | undefined>}
 */
async function runBare({ sharing, connections, callers }, { seconds, warmUp }, server) {
  const active = sharing === 'pool' ? callers : connections
  const shape = { ...pool(active), inFlight: callers / active, idle: connections - active }
  const report = await server.drive({ shape, seconds, warmUp, timeout: TIMEOUT, waiting: 'sleep' })
  if (report === undefined) return undefined
  const { requestsPerSecond, latencyMicroseconds, client } = report
  return {
    requestsPerSecond,
    latencyMicroseconds,
    cpu: (client.cpuShare * 1e6) / requestsPerSecond,
    memory: null,
    clientShare: client.cpuShare,
    serverShare: report.server.cpuShare ?? Number.NaN,
  }
}

/**
 * @param {{ peer: string, label: string, family: string }} named
 * @param {readonly Round[]} rounds
 */
function clientRow(named, rounds) {
  const [client, server] = [
    middle(rounds, ({ clientShare }) => clientShare) ?? Number.NaN,
    middle(rounds, ({ serverShare }) => serverShare) ?? Number.NaN,
  ]
  // Here it is the client that should be the bottleneck.
  const side = busySide(server, client)
  return row(
    named,
    rounds.map(({ requestsPerSecond }) => requestsPerSecond),
    {
      rate: middle(rounds, ({ requestsPerSecond }) => requestsPerSecond),
      cpu: middle(rounds, ({ cpu }) => cpu),
      p50: middle(rounds, ({ latencyMicroseconds }) => latencyMicroseconds.p50),
      p99: middle(rounds, ({ latencyMicroseconds }) => latencyMicroseconds.p99),
      p999: middle(rounds, ({ latencyMicroseconds }) => latencyMicroseconds.p999),
      memory: middle(rounds, ({ memory }) => memory),
    },
    rounds.length === 0 ? 'failed' : `${side} (client ${percent(client)}, server ${percent(server)})`,
  )
}
