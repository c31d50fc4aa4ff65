// RPC over this package beside others: the Thrift echo of kitex-benchmark, and a tiny Redis. Server and client are
// always of the same kind.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

import { GRPC } from '../runner/built.mjs'
import { buildKitex } from '../runner/kitex.mjs'
import { fromRoot } from '../runner/paths.mjs'
import { runToEnd, Service } from '../runner/processes.mjs'
import { print } from '../runner/progress.mjs'
import { interleave } from '../runner/rounds.mjs'
import { COLUMNS, sectionOf } from './section.mjs'

/**
 * @typedef {object} Pair
 * @property {{ id: string, label: string, family: string }} subject
 * @property {readonly string[]} server
 * @property {(port: string) => readonly string[]} client
 * @property {(port: string) => readonly string[]} [warmUp] Run before the client, where that does not warm up itself.
 * @property {string | undefined} [build]
 */

/** Whose files stay in the checkout. */
const isThere = () => existsSync(fromRoot('benches/rpc'))

/** @param {string} node @param {string} name */
const script = (node, name) => [node, '--no-warnings', fromRoot(`benches/rpc/${name}.mjs`)]

/** @param {'pool' | 'mux'} sharing @param {Context} context */
export async function measureThrift(sharing, context) {
  if (!isThere()) return []
  const shared = sharing === 'pool' ? 'a pool of 100 connections' : 'a mux of 4 connections'
  const head = {
    id: `thrift-${sharing}`,
    group: 'RPC',
    title: `Thrift echo of 1 KiB, 100 callers, ${shared}`,
    about: 'Server and client are of the same kind.',
    columns: [
      { ...COLUMNS.rate, label: 'calls/s' },
      { ...COLUMNS.cpu, label: 'client CPU/call' },
    ],
  }
  const pairs = thriftPairs(sharing, context)
  return [sectionOf(head, await measurePairs(head.title, pairs, readThrift, context.options))]
}

/** @param {'pool' | 'mux'} sharing @param {Context} context @returns {readonly Pair[]} */
function thriftPairs(sharing, { options, subjects }) {
  const { node, seconds } = options
  const shared = ['--sharing', sharing, '--seconds', String(seconds)]
  /** @type {(command: readonly string[], words: readonly string[]) => Pair['client']} */
  const client = (command, words) => (port) => [...command, '--port', port, ...shared, ...words]
  const library = subjects(['node']).map((subject) => ({
    subject: { ...subject, label: 'thrift on node:net, framed' },
    server: script(node, 'library-server'),
    client: client(script(node, 'library-client'), ['--transport', 'framed']),
  }))
  const ours = ['framed', 'ttheader'].flatMap((transport) =>
    subjects(['netpoll']).map(({ id, family, build }) => ({
      subject: {
        id: `${id}-${transport}`,
        label: `netpoll, ${transport}${build === undefined ? '' : ', before'}`,
        family,
      },
      server: script(node, 'netpoll-server'),
      client: client(script(node, 'netpoll-client'), ['--transport', transport]),
      build,
    })),
  )
  const kitex = subjects(['goNetpoll']).length === 0 ? undefined : buildKitex()
  if (kitex === undefined) return [...library, ...ours]
  const go = {
    subject: { id: 'kitex', label: 'Kitex, ttheader', family: 'go' },
    server: [kitex, 'server', '--sharing', sharing],
    client: client([kitex, 'client'], []),
  }
  return [...library, ...ours, go]
}

/** @param {Context} context */
export async function measureCluster({ options, subjects }) {
  if (!isThere()) return []
  const { node, seconds } = options
  /** @type {(name: string, words: readonly string[]) => Pick<Pair, 'server' | 'client'>} */
  const pair = (name, words) => ({
    server: [...script(node, `cluster-${name}-server`), ...words],
    client: (port) => [
      ...script(node, `cluster-${name}-client`),
      ...['--port', port, '--seconds', String(seconds), ...words],
    ],
  })
  const ours = ['cluster', 'thrift'].flatMap((api) =>
    subjects(['netpoll']).map(({ id, family, build }) => ({
      subject: {
        id: `${id}-${api}`,
        label: `netpoll, ${api === 'thrift' ? 'Thrift client' : 'Cluster'}${build === undefined ? '' : ', before'}`,
        family,
      },
      ...pair('netpoll', ['--api', api]),
      build,
    })),
  )
  const others = subjects(['node'])
    .filter(() => isInstalled(GRPC, 'grpc-js'))
    .map(({ family }) => ({
      subject: { id: 'grpc', label: 'grpc-js, round_robin', family },
      ...pair('grpc', []),
    }))
  const head = {
    id: 'cluster',
    group: 'RPC',
    title: 'Ten servers, echo of 1 KiB, 100 callers, one server after the other',
    about: 'Server and client are of the same kind. The servers are in one process.',
    columns: [
      { ...COLUMNS.rate, label: 'calls/s' },
      { ...COLUMNS.cpu, label: 'client CPU/call' },
    ],
  }
  return [sectionOf(head, await measurePairs(head.title, [...ours, ...others], readThrift, options))]
}

/** @param {string} place @param {string} name */
function isInstalled(place, name) {
  if (existsSync(place)) return true
  print(`${name} is skipped: it is not installed, which "node benches/peers/build.mjs" does`)
  return false
}

/** @param {string} output @returns {Figures} */
function readThrift(output) {
  const { rate, clientMicroseconds } = JSON.parse(/^result (.+)$/m.exec(output)?.[1] ?? '{}')
  return { rate: rate ?? null, cpu: clientMicroseconds ?? null }
}

/** @param {'set' | 'get'} command @param {Context} context */
export async function measureRedis(command, { options, subjects }) {
  if (!isThere()) return []
  if (spawnSync('redis-benchmark', ['--version']).status !== 0) {
    print('Redis is skipped: redis-benchmark is not installed')
    return []
  }
  /** @param {number} count */
  const load = (count) => (/** @type {string} */ port) => [
    ...['redis-benchmark', '-p', port, '-t', command, '-P', '16'],
    ...['-n', String(count), '--csv'],
  ]
  const loads = { client: load(Math.round(options.seconds * 200_000)), warmUp: load(100_000) }
  const { node } = options
  const others = subjects(['node']).flatMap(({ family }) => [
    {
      subject: { id: 'nodePerReply', label: 'node:net, a write per reply', family },
      server: [...script(node, 'redis-node-net'), '--per-reply'],
    },
    {
      subject: { id: 'nodePerChunk', label: 'node:net, a write per chunk', family },
      server: script(node, 'redis-node-net'),
    },
  ])
  // Its server comes from the examples, which use the package as it is.
  const ours = subjects(['netpoll'])
    .slice(0, 1)
    .map((subject) => ({ subject, server: script(node, 'redis-netpoll') }))
  const pairs = [...ours, ...others].map((pair) => ({ ...pair, ...loads }))
  const head = {
    id: `redis-${command}`,
    group: 'RPC',
    title: `Tiny Redis, redis-benchmark -t ${command} -P 16, 50 connections`,
    about: '100,000 commands warm up each server.',
    columns: [{ ...COLUMNS.rate, label: 'commands/s' }],
  }
  const rate = new RegExp(`^"${command}[^"]*","([\\d.]+)"`, 'im')
  const read = (/** @type {string} */ output) => ({ rate: Number(rate.exec(output)?.[1]) })
  return [sectionOf(head, await measurePairs(head.title, pairs, read, options))]
}

/**
 * @param {string} title
 * @param {readonly Pair[]} pairs
 * @param {(output: string) => Figures} read
 * @param {Options} options
 */
function measurePairs(title, pairs, read, { rounds }) {
  const runs = pairs.map((pair) => ({ subject: pair.subject, measure: () => measurePair(pair, read) }))
  return interleave(title, runs, rounds)
}

/**
 * One round: a server and a client.
 *
 * @param {Pair} pair
 * @param {(output: string) => Figures} read
 * @returns {Promise<Round>}
 */
async function measurePair({ subject, server, client, warmUp, build }, read) {
  const service = new Service(subject.label, server, 'server', build)
  try {
    // Or several, with commas between them.
    const port = (await service.expect('listening')).split(':').at(-1) ?? ''
    if (warmUp !== undefined) await runToEnd(warmUp(port))
    const { code, output, errors } = await runToEnd(client(port), 'client', build)
    if (code !== 0) throw new Error(`the client of ${subject.label} has failed: ${errors}`)
    const figures = read(output)
    if (!((figures['rate'] ?? 0) > 0)) {
      throw new Error(`the client of ${subject.label} said: ${output}${errors}`)
    }
    return { figures }
  } finally {
    await service.stop()
  }
}
