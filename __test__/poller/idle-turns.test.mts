// What was asked for before a turn of the poller counts in it, also where an idle handle of libuv begins that turn: while other
// connections have more to be read, it comes before the handle that carries out what JavaScript has asked for.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import test from 'ava'

import { createServer } from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { connectPeer, portOf } from '../support/netpoll.mjs'
import { serveStream } from '../support/streams.mjs'

/** Never stops writing. */
const flooding = `
  const { workerData, parentPort } = require('node:worker_threads')
  const block = Buffer.alloc(1_000_000)
  for (let count = 0; count < 4; count += 1) {
    const socket = require('node:net').connect(workerData, '127.0.0.1')
    const write = () => { while (socket.write(block)); }
    socket.on('connect', write).on('drain', write).on('error', () => {})
    socket.once('drain', () => parentPort.postMessage('begun'))
  }
`

test('a stream that is taken over as its peer ends ends by itself, beside a flood', async (t) => {
  const flooded = createServer({}, ({ reader }) => reader.skip(reader.length))
  t.teardown(() => flooded.close({ timeout: 0 }))
  await flooded.listen({ host: '127.0.0.1', port: 0 })
  const flood = new Worker(flooding, { eval: true, workerData: portOf(flooded) })
  t.teardown(() => flood.terminate())
  await once(flood, 'message')
  const { port, connections } = await serveStream(t)
  for (let round = 0; round < 50; round += 1) {
    const peer = await connectPeer(t, { port })
    const connection = await connections.take()
    const events = new Inbox<string>()
    // In the phase of timers, behind which the idle handles come.
    await new Promise<void>((resolve) => {
      setTimeout(() => {
        const duplex = connection.toDuplex()
        for (const name of ['end', 'finish', 'close']) duplex.on(name, () => events.push(name))
        peer.end()
        resolve()
      })
    })
    t.deepEqual(await events.reach(3), ['end', 'finish', 'close'])
  }
})
