// Measures RPC over this package beside others: `npm run bench:rpc`. benches/README.md describes the method.

import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

import { describeMachine, NoiseCheck } from '../runner/machine.mjs'
import { fromRoot } from '../runner/paths.mjs'
import { runToEnd, Service } from '../runner/processes.mjs'
import { print, progress } from '../runner/progress.mjs'
import { median, spread } from '../runner/statistics.mjs'
import { microseconds, percent, table, whole } from '../runner/table.mjs'
import { buildKitex } from './kitex-program.mjs'

/**
 * @typedef {object} Peer
 * @property {string} name
 * @property {readonly string[]} server
 * @property {(port: number) => readonly string[]} client
 * @property {(port: number) => readonly string[]} [warmUp] Run before the client, where that does not warm up itself.
 *
 * @typedef {{ rate: number, clientMicroseconds?: number }} Round
 *
 * @typedef {object} Target How a peer compares to another.
 * @property {string} of
 * @property {string} to
 * @property {number} least
 *
 * @typedef {object} Scenario
 * @property {string} title
 * @property {readonly Peer[]} peers
 * @property {(output: string) => Round} read
 * @property {readonly Target[]} targets
 */

const { values: options } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '2' } },
})

/** @param {string} name */
const script = (name) => [process.execPath, '--no-warnings', fromRoot(`benches/rpc/${name}.mjs`)]

/**
 * @param {'pool' | 'mux'} sharing
 * @param {string | undefined} kitex
 * @returns {Scenario}
 */
function thriftScenario(sharing, kitex) {
  const { seconds } = options
  /** @param {readonly string[]} command @param {string} transport */
  const client = (command, transport) => (/** @type {number} */ port) => [
    ...command,
    ...['--port', String(port), '--sharing', sharing, '--seconds', seconds, '--transport', transport],
  ]
  const library = {
    name: 'thrift on node:net, framed',
    server: script('library-server'),
    client: client(script('library-client'), 'framed'),
  }
  const ours = /** @type {const} */ (['framed', 'ttheader']).map((transport) => ({
    name: `netpoll, ${transport}`,
    server: script('netpoll-server'),
    client: client(script('netpoll-client'), transport),
  }))
  const words = ['--sharing', sharing]
  const others =
    kitex === undefined
      ? []
      : [
          {
            name: 'Kitex, ttheader',
            server: [kitex, 'server', ...words],
            client: (/** @type {number} */ port) => [
              ...[kitex, 'client', ...words, '--port', String(port), '--seconds', seconds],
            ],
          },
        ]
  const shared = sharing === 'pool' ? 'a pool of 100 connections' : 'a mux of 4 connections'
  return {
    title: `Thrift echo of 1 KiB, 100 callers, ${shared}`,
    peers: [library, ...ours, ...others],
    read: (output) => JSON.parse(/^result (.+)$/m.exec(output)?.[1] ?? 'null'),
    targets: [
      { of: 'netpoll, framed', to: library.name, least: 2 },
      ...(kitex === undefined ? [] : [{ of: 'netpoll, ttheader', to: 'Kitex, ttheader', least: 0 }]),
    ],
  }
}

/**
 * @param {'set' | 'get'} command
 * @returns {Scenario}
 */
function redisScenario(command) {
  /** @param {number} count */
  const load = (count) => (/** @type {number} */ port) => [
    ...['redis-benchmark', '-p', String(port), '-t', command, '-P', '16'],
    ...['-n', String(count), '--csv'],
  ]
  const client = load(Math.round(Number(options.seconds) * 200_000))
  const warmUp = load(100_000)
  const peers = [
    { name: 'netpoll', server: script('redis-netpoll') },
    { name: 'node:net, a write per reply', server: [...script('redis-node-net'), '--per-reply'] },
    { name: 'node:net, a write per chunk', server: script('redis-node-net') },
  ].map((peer) => ({ ...peer, client, warmUp }))
  return {
    title: `Tiny Redis, redis-benchmark -t ${command} -P 16, 50 connections`,
    peers,
    read: (output) => ({
      rate: Number(new RegExp(`^"${command}[^"]*","([\\d.]+)"`, 'im').exec(output)?.[1]),
    }),
    targets: [
      { of: 'netpoll', to: 'node:net, a write per reply', least: 2.5 },
      { of: 'netpoll', to: 'node:net, a write per chunk', least: 1.3 },
    ],
  }
}

/**
 * One round: a server and a client of one peer.
 *
 * @param {Scenario} scenario
 * @param {Peer} peer
 * @returns {Promise<Round>}
 */
async function measure({ read }, { name, server, client, warmUp }) {
  const service = new Service(name, server, 'server')
  try {
    const port = Number((await service.expect('listening')).split(':').at(-1))
    if (warmUp !== undefined) await runToEnd(warmUp(port))
    const { code, output, errors } = await runToEnd(client(port))
    if (code !== 0) throw new Error(`the client of ${name} has failed: ${errors}`)
    const round = read(output)
    if (!(round?.rate > 0)) throw new Error(`the client of ${name} said: ${output}${errors}`)
    return round
  } finally {
    await service.stop()
  }
}

/** @param {Scenario} scenario */
async function run(scenario) {
  /** @type {Map<string, Round[]>} */
  const rounds = new Map(scenario.peers.map(({ name }) => [name, []]))
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    for (const peer of scenario.peers) {
      progress(`${scenario.title}: round ${round} of ${options.rounds}, ${peer.name}`)
      rounds.get(peer.name)?.push(await measure(scenario, peer))
    }
  }
  const rates = (/** @type {string} */ name) => rounds.get(name)?.map(({ rate }) => rate) ?? []
  print(`\n${scenario.title}`)
  print(
    table(
      ['', 'per second', 'spread', 'client CPU', ''],
      scenario.peers.map(({ name }) => {
        const client = median(rounds.get(name)?.map((round) => round.clientMicroseconds ?? Number.NaN) ?? [])
        return [name, whole(median(rates(name))), percent(spread(rates(name))), microseconds(client), '']
      }),
    ),
  )
  for (const { of, to, least } of scenario.targets) {
    const others = rates(to)
    const ratio = median(rates(of).map((rate, index) => rate / (others[index] ?? Number.NaN)))
    const verdict = least === 0 ? '' : `, at least ${least} wanted${ratio < least ? ': MISSED' : ''}`
    print(`  ${of} : ${to} = ${ratio.toFixed(2)}${verdict}`)
  }
}

const noise = new NoiseCheck()
print(describeMachine())
const warnings = [await noise.before()]
const kitex = buildKitex()
if (kitex === undefined) print('Kitex is skipped: go is not installed')
for (const sharing of /** @type {const} */ (['pool', 'mux'])) await run(thriftScenario(sharing, kitex))
if (spawnSync('redis-benchmark', ['--version']).status === 0) {
  for (const command of /** @type {const} */ (['set', 'get'])) await run(redisScenario(command))
} else {
  print('Redis is skipped: redis-benchmark is not installed')
}
warnings.push(noise.after())
for (const warning of warnings) if (warning !== undefined) print(`warning: ${warning}`)
