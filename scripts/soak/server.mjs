// The servers of one mode, in a process of their own: with a framing, plain and with TLS, over TCP and a unix socket, and a
// stream.
//
//   server.mjs mode folder [plant]

import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { createServer } from '../../dist/index.mjs'
import { counts, obey } from './child.mjs'
import { action, framing, header, id, lostReply } from './messages.mjs'
import { serverLimit } from './verdict.mjs'

const [mode = '', folder = '', plant = ''] = process.argv.slice(2)
const pem = (name) => readFileSync(new URL(`../../__test__/fixtures/tls/${name}.pem`, import.meta.url))
const tls = {
  key: pem('key'),
  cert: pem('certificate'),
  handshakeTimeout: serverLimit,
  onHandshakeError: () => {},
}

/** Requests after which those plants bear that do so a few times. */
const ripe = 300
/** Whether it is one of the few that are spoilt: a peer that does not behave may be the one that gets the reply. */
const isRipe = () => requests >= ripe && requests < 2 * ripe && requests % 20 === 0

/** Milliseconds of the processor. */
function usedSince(begin) {
  const { user, system } = process.cpuUsage(begin)
  return (user + system) / 1_000
}

/** What makes the monitor see red, each by another check. */
const kept = []
let requests = 0
const plants = {
  chunks: (request) => requests % 20 === 0 && kept.push(request),
  // One a second, so that they grow between looks in a run of a minute or two.
  descriptors: () =>
    kept.length < Math.min(120, performance.now() / 1_000) && kept.push(openSync('/dev/null')),
  resident: () => requests % 20 === 0 && kept.push(Buffer.alloc(64 * 1024, 1)),
  gap: () => {
    if (requests !== ripe) return
    // Of the processor: on a busy machine it takes longer.
    for (const begin = process.cpuUsage(); usedSince(begin) < 2_000; );
  },
  wrong: (request) => {
    if (isRipe() && request.length > header) request[header] ^= 1
  },
  lost: isRipe,
}

const planted = plant.split(',').flatMap((name) => plants[name] ?? [])

function onRequest(request) {
  requests += 1
  const grown = planted.map((bear) => bear(request))
  if (grown.includes(true)) return new Promise(() => {})
  if (request.length < header || request[4] !== action.late) return request
  return new Promise((resolve) => setTimeout(resolve, request.readUInt16BE(6), request))
}

/** Peers that stall or go are given up; what they cost is no fault of the server. */
function onError(error) {
  const name = error?.code ?? error?.name ?? 'unknown'
  counts[name] = (counts[name] ?? 0) + 1
}

const common = {
  readTimeout: serverLimit,
  writeTimeout: serverLimit,
  closeTimeout: serverLimit,
  maxBufferedBytes: 64 * 2 ** 20,
  onError,
}
const modes = {
  inline: { id, ordered: false, onRequest },
  pollers: { id, pollers: 2, onRequest },
  workers: {
    workers: {
      module: new URL('worker.mjs', import.meta.url),
      threads: 3,
      concurrentTasksPerWorker: 4,
      lostReply,
    },
  },
}

const servers = []
async function listen(options, place) {
  const server = createServer(options)
  servers.push(server)
  await server.listen(place)
  const address = server.address()
  return typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: address.port }
}

const framed = { framing, ...common, ...modes[mode] }
const tcp = { host: '127.0.0.1', port: 0 }
const echo = async ({ reader, writer }) => {
  writer.writeBinary(reader.next(reader.length))
  await writer.flush()
}
const pollers = modes[mode].pollers ?? 0
const places = {
  plain: await listen(framed, tcp),
  unix: await listen(framed, { path: join(folder, `${mode}.sock`) }),
  tls: await listen({ ...framed, tls }, tcp),
  stream: await listen({ ...common, readTimeout: 0, pollers, onData: echo }, tcp),
}
const threads = () => servers.reduce((sum, server) => sum + (server.stats().workers?.threads ?? 0), 0)
obey({ places: () => places }, threads)
