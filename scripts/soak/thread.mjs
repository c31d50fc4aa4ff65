// A worker thread that serves and calls itself, until it is terminated.

import { parentPort, workerData } from 'node:worker_threads'

import { createServer, Dialer } from '../../dist/index.mjs'
import { framing, id, requestOf } from './messages.mjs'
import { Random } from './random.mjs'

const { pollers, seed } = workerData
const random = new Random(seed)
const quiet = { framing, id, pollers, onError: () => {} }
const server = createServer(quiet, (request) => request)
await server.listen({ host: '127.0.0.1', port: 0 })
const place = { host: '127.0.0.1', port: server.address().port }
const connection = await new Dialer(quiet).dial(place)
parentPort.postMessage(place)
for (;;) {
  const request = requestOf(random, random.below(20_000))
  const reply = await connection.call(request)
  if (!reply.equals(request)) throw new Error('wrong bytes')
}
