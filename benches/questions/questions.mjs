// Everything that is asked, in the order in which it runs.

import { SERVER_SCENARIOS, ONE_AT_A_TIME } from './scenarios.mjs'
import { CLIENTS } from '../runner/clients.mjs'
import { CLIENT_SCENARIOS, measureClients } from './client-test.mjs'
import { measureHalfLoad } from './half-load.mjs'
import { measureIdleMemory } from './idle-memory.mjs'
import { measureScaling, SCALING_PEERS } from './scaling.mjs'
import { measureServers } from './server-test.mjs'
import { measureSlowPeers } from './slow-peers.mjs'

/** @typedef {import('../runner/peers.mjs').PeerName} PeerName */
/** @typedef {import('./section.mjs').Section} Section */

/**
 * What every question gets.
 *
 * @typedef {object} Context
 * @property {import('./options.mjs').Options} options
 * @property {import('../runner/fleet.mjs').Fleet} fleet
 * @property {(peers: readonly PeerName[]) => readonly PeerName[]} available Those that are asked for and there.
 * @property {readonly Section[]} sections What is known already.
 */

/**
 * @typedef {object} Question
 * @property {string} name
 * @property {readonly ((context: Context) => Promise<readonly Section[]>)[]} parts
 */

/** Whose load half load is half of. */
const HALF_LOAD = 'pool-100'

/**
 * @param {string} name
 * @param {string} prefix Of the scenarios that belong to it.
 * @returns {Question}
 */
const serverTest = (name, prefix) => ({
  name,
  parts: SERVER_SCENARIOS.filter(({ id }) => id.startsWith(prefix)).map(
    (scenario) =>
      async ({ options, fleet, available }) => [
        await measureServers(scenario, available(scenario.peers), options, fleet),
      ],
  ),
})

/** @param {Context} context */
async function halfLoad({ options, fleet, available, sections }) {
  const scenario = SERVER_SCENARIOS.find(({ id }) => id === HALF_LOAD)
  if (scenario === undefined) throw new Error(`there is no scenario ${HALF_LOAD}`)
  const known = sections.find(({ id }) => id === HALF_LOAD)
  const full = known ?? (await measureServers(scenario, available(scenario.peers), options, fleet))
  return [await measureHalfLoad(scenario, full, options, fleet)]
}

/** Peers that batch by hand show nothing here: with one request at a time there is no batch. */
const SLOW_SIDE_PEERS = ONE_AT_A_TIME.filter((peer) => peer !== 'netpollPollers' && peer !== 'netpollWorkers')

/** @type {Question} */
const clientTest = {
  name: 'clients',
  parts: CLIENT_SCENARIOS.map((scenario) => async ({ options, fleet, available }) => {
    const [server] = await fleet.benches('tcp', ['bare'])
    if (server === undefined) throw new Error('there is no server')
    const peers = CLIENTS[scenario.sharing].map(({ peer }) => peer)
    return [await measureClients(scenario, available([...peers, 'bare']), options, server)]
  }),
}

/** @type {readonly Question[]} */
export const QUESTIONS = [
  serverTest('pool', 'pool-'),
  serverTest('idle', 'idle-'),
  serverTest('mux', 'mux-'),
  { name: 'half-load', parts: [halfLoad] },
  serverTest('sizes', 'size-'),
  serverTest('unix', 'unix-'),
  serverTest('churn', 'churn'),
  {
    name: 'idle-memory',
    parts: [async ({ options, available }) => [await measureIdleMemory(available(ONE_AT_A_TIME), options)]],
  },
  {
    name: 'slow-peers',
    parts: [async ({ options, available }) => [await measureSlowPeers(available(SLOW_SIDE_PEERS), options)]],
  },
  {
    name: 'two-cores',
    parts: [({ options, available }) => measureScaling(available(SCALING_PEERS), options)],
  },
  clientTest,
]
