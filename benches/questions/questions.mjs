// Everything that can be asked, in the order in which it runs.

import { CLIENT_SCENARIOS, LARGE_CALLS, measureClients } from './client-test.mjs'
import { measureGrowth } from './growth.mjs'
import { measureFixedLoad, measureHalfLoad } from './half-load.mjs'
import { measureIdleMemory, measureIdleTls } from './idle-memory.mjs'
import { measureNodeVersions, VERSIONED } from './node-versions.mjs'
import { measureCluster, measureRedis, measureThrift } from './rpc.mjs'
import { measureScaling, measureTwoWorkers } from './scaling.mjs'
import { SERVER_SCENARIOS } from './scenarios.mjs'
import { measureServers } from './server-test.mjs'
import { measureSlowPeers } from './slow-peers.mjs'
import { measureSize, sweepId, TRANSPORTS } from './sweep.mjs'
import { measureTlsFlood } from './tls-flood.mjs'
import { DIRECTIONS, measureClientTransfer, measureServerTransfer } from './transfer.mjs'

/**
 * @param {string} id
 * @param {(context: Context) => Promise<Section | readonly Section[]>} ask
 * @returns {Part}
 */
const part = (id, ask) => ({ id, ask: async (context) => [await ask(context)].flat() })

/**
 * Scenarios of the server test.
 *
 * @param {string} name
 * @param {string} [ids] Of the scenarios that belong to it: one, or how all of them begin, up to a hyphen.
 * @returns {Question}
 */
function serverTest(name, ids = name) {
  const parts = serverParts(ids)
  return { name, parts: () => parts }
}

/** @param {string} ids */
function serverParts(ids) {
  const scenarios = SERVER_SCENARIOS.filter(
    ({ id }) => id === ids || (ids.endsWith('-') && id.startsWith(ids)),
  )
  return scenarios.map((scenario) => part(scenario.id, (context) => measureServers(scenario, context)))
}

/** @type {(name: string, ...parts: readonly Part[]) => Question} */
const question = (name, ...parts) => ({ name, parts: () => parts })

/** @param {readonly import('./client-test.mjs').ClientScenario[]} scenarios */
const clientParts = (scenarios) =>
  scenarios.map((scenario) => part(scenario.id, (context) => measureClients(scenario, context)))

/** @type {Question} */
const sweep = {
  name: 'sweep',
  parts: ({ sizes, scope }) =>
    (scope === 'full' ? TRANSPORTS : TRANSPORTS.slice(0, 1)).flatMap((transport) =>
      sizes.map((size) => part(sweepId(transport, size), (context) => measureSize(transport, size, context))),
    ),
}

/** Each may be asked by itself. */
const tls = [...serverParts('tls-'), part('tls-idle', measureIdleTls), part('tls-flood', measureTlsFlood)]

/** @type {readonly Question[]} */
export const QUESTIONS = [
  serverTest('tcp-100x1', 'pool-100'),
  serverTest('tcp-4x64', 'tcp-4x64'),
  serverTest('unix-100x1', 'unix-pool-100'),
  serverTest('unix-4x64'),
  serverTest('tcp-20x32k'),
  serverTest('pool', 'pool-'),
  serverTest('idle', 'idle-'),
  serverTest('mux', 'mux-'),
  question('half-load', part('half-load', measureHalfLoad), part('half-fixed', measureFixedLoad)),
  question('half-fixed', part('half-fixed', measureFixedLoad)),
  sweep,
  serverTest('unix', 'unix-'),
  serverTest('churn'),
  serverTest('stream', 'stream-'),
  serverTest('contexts', 'contexts-'),
  serverTest('timers', 'timers-'),
  serverTest('http'),
  question('transfer', ...DIRECTIONS.flatMap(transfers)),
  question('idle-memory', part('idle-memory', measureIdleMemory)),
  ...tls.map((each) => question(each.id, each)),
  question('tls', ...tls),
  question('slow-peers', part('slow-peers', measureSlowPeers)),
  question('two-cores', part('scaling', measureScaling), part('two-workers', measureTwoWorkers)),
  question('two-workers', part('two-workers', measureTwoWorkers)),
  question('clients', ...clientParts([...CLIENT_SCENARIOS, ...LARGE_CALLS])),
  question('large-calls', ...clientParts(LARGE_CALLS)),
  question(
    'thrift',
    ...['pool', 'mux'].map((sharing) =>
      part(`thrift-${sharing}`, (context) => measureThrift(/** @type {'pool' | 'mux'} */ (sharing), context)),
    ),
  ),
  question('cluster', part('cluster', measureCluster)),
  question(
    'redis',
    ...['set', 'get'].map((command) =>
      part(`redis-${command}`, (context) => measureRedis(/** @type {'set' | 'get'} */ (command), context)),
    ),
  ),
  question(
    'nodes',
    ...VERSIONED.map((load) => part(`nodes-${load}`, (context) => measureNodeVersions(load, context))),
  ),
  question('growth', part('growth', measureGrowth)),
]

/** @param {(typeof DIRECTIONS)[number]} direction */
function transfers(direction) {
  return [
    part(`transfer-${direction}`, (context) => measureServerTransfer(direction, context)),
    part(`client-transfer-${direction}`, (context) => measureClientTransfer(direction, context)),
  ]
}
