// Client test: one server, every client. Callers wait for one reply at a time, each under a time limit.

import { subjectOf } from '../runner/bench.mjs'
import { CLIENTS } from '../runner/clients.mjs'
import { processorTime, residentMemory, Service } from '../runner/processes.mjs'
import { interleave, roundOf } from '../runner/rounds.mjs'
import { CONCURRENCIES, pool, TIMEOUT } from './scenarios.mjs'
import { COLUMNS, sectionOf } from './section.mjs'

const SIZE = 1024
const LARGE = 32 * 1024
/** A client on a just-in-time compiler needs a while to reach its speed. */
const WARM_UP = 1

const SHOWN = [
  ...[COLUMNS.rate, { ...COLUMNS.cpu, label: 'client CPU/request' }, COLUMNS.p50, COLUMNS.p99, COLUMNS.p999],
  { ...COLUMNS.memory, label: 'client memory' },
]

/**
 * @typedef {object} ClientScenario
 * @property {string} id
 * @property {string} title
 * @property {string} about
 * @property {import('../runner/clients.mjs').Sharing} sharing
 * @property {number} connections
 * @property {number} callers
 * @property {number} [size] Bytes of a request and of its reply.
 */

/** @param {string} id @param {string} title @param {number} callers @returns {ClientScenario} */
const pooled = (id, title, callers) => ({
  ...{ id: `client-pool-${id}`, title, about: 'As many connections as callers; each call has one alone.' },
  ...{ sharing: 'pool', connections: callers, callers },
})

/** @param {string} id @param {string} title @param {number} callers @returns {ClientScenario} */
const shared = (id, title, callers) => ({
  ...{ id: `client-mux-${id}`, title: `${title}, 4 connections`, about: 'All calls share four connections.' },
  ...{ sharing: 'mux', connections: 4, callers },
})

/** @param {number} callers @returns {ClientScenario} */
const besideIdle = (callers) => ({
  ...pooled('', `Scenario 2: ${callers} callers, ${5 * callers} connections`, callers),
  ...{
    id: `client-idle-${callers}`,
    about: 'The same with 80 % idle connections.',
    connections: 5 * callers,
  },
})

/** @type {readonly ClientScenario[]} */
export const CLIENT_SCENARIOS = [
  ...CONCURRENCIES.map((callers) => pooled(`${callers}`, `Scenario 1: ${callers} callers`, callers)),
  ...CONCURRENCIES.map(besideIdle),
  ...CONCURRENCIES.map((callers) => shared(`${callers}`, `Scenario 3: ${callers} callers`, callers)),
]

/** @type {readonly ClientScenario[]} */
export const LARGE_CALLS = [pooled, shared].map((calls) => ({
  ...calls('32k', 'Calls of 32 KiB both ways, 20 callers', 20),
  size: LARGE,
}))

/** @param {ClientScenario} scenario @param {Context} context @returns {Promise<Section>} */
export async function measureClients(scenario, { options, fleet, subjects }) {
  const { id, title, about, sharing } = scenario
  const [server] = await fleet.benches('tcp', [subjectOf('bare', { node: options.node })])
  if (server === undefined) throw new Error('there is no server')
  const named = new Map(CLIENTS[sharing].map((client) => [client.peer, client]))
  const runs = subjects([...named.keys()]).map((subject) => {
    const { label = '', command = () => [] } = named.get(subject.peer) ?? {}
    const suffix = subject.build === undefined ? '' : ', before'
    return {
      subject: { ...subject, label: `${label}${suffix}` },
      measure: () => runClient(command(subject.node), subject.build, scenario, options, server),
    }
  })
  const bare = subjects(['bare']).map((subject) => ({
    subject,
    measure: () => runBare(scenario, options, server),
  }))
  const measured = await interleave(`clients · ${title}`, [...runs, ...bare], options.rounds)
  return sectionOf({ id, group: 'Client test', title, about, columns: SHOWN }, measured, 'client')
}

/**
 * @param {readonly string[]} command
 * @param {string | undefined} build
 * @param {ClientScenario} scenario
 * @param {Options} options
 * @param {import('../runner/bench.mjs').Bench} server
 * @returns {Promise<Round>}
 */
async function runClient(command, build, { connections, callers, size = SIZE }, options, server) {
  const warmUp = options.quick ? options.warmUp : WARM_UP
  const asked = { connections, callers, size, timeout: TIMEOUT * 1000, 'warm-up': warmUp }
  const words = Object.entries({ ...asked, duration: options.seconds }).flatMap(([name, value]) => [
    `--${name}`,
    String(value),
  ])
  const client = new Service('the client', [...command, ...server.endpoint, ...words], 'client', build)
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
    figures: {
      rate: requests / seconds,
      cpu: (used.client * 1e6) / requests,
      ...latencyMicroseconds,
      memory,
    },
    clientShare: used.client / seconds,
    serverShare: used.server / seconds,
  }
}

/**
 * The load client itself, asleep while no reply is there, as the others are.
 *
 * @param {ClientScenario} scenario
 * @param {Options} options
 * @param {import('../runner/bench.mjs').Bench} server
 * @returns {Promise<Round | undefined>}
 */
async function runBare({ sharing, connections, callers, size = SIZE }, { seconds, warmUp }, server) {
  const active = sharing === 'pool' ? callers : connections
  const shape = { ...pool(active, size), inFlight: callers / active, idle: connections - active }
  const report = await server.drive({ shape, seconds, warmUp, timeout: TIMEOUT, waiting: 'sleep' })
  const round = roundOf(report)
  if (report === undefined || round === undefined) return undefined
  const cpu = (report.client.cpuShare * 1e6) / report.requestsPerSecond
  return { ...round, figures: { ...round.figures, cpu, memory: null } }
}
