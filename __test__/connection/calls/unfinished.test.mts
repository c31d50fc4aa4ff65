// What has come whole is answered, although the message behind it is not finished within `readTimeout`.
import test from 'ava'

import { createServer } from '../../../dist/index.mjs'
import { deferred, Inbox } from '../../support/deferred.mjs'
import { frame, frames, pattern } from '../../support/frames.mjs'
import { placeOf } from '../../support/listeners.mjs'
import { codeOf, connectPeer, framing, targetOf } from '../../support/netpoll.mjs'
import { connectionAt, type PlacedOptions } from '../../support/placed.mjs'
import { places, words } from '../../support/places.mjs'

/** A whole request, and another without its last bytes. */
const oneAndAHalf = frames('whole', 'unfinished').subarray(0, -3)
/** More than the system takes for a peer that does not read, and less than `highWaterMark`. */
const large = 6_000_000

/** Time limits, and how their end is told. */
function limits() {
  const errors = new Inbox<unknown>()
  const ends = new Inbox<unknown>()
  const options: PlacedOptions = {
    readTimeout: 20,
    highWaterMark: 4 * large,
    onError: (error) => errors.push(codeOf(error)),
    onDisconnect: (_connection, error) => ends.push(codeOf(error)),
  }
  return { errors, ends, options }
}

for (const place of places) {
  test(`a handler that runs still answers: ${words(place)}`, async (t) => {
    const { errors, ends, options } = limits()
    const go = deferred()
    const seen: string[] = []
    const { peer } = await connectionAt(t, place, {
      ...options,
      onRequest: async (request) => {
        seen.push(request.toString())
        await go.promise
        return 'reply'
      },
    })
    await peer.write(oneAndAHalf)
    t.is(await errors.take(), 'ERR_READ_TIMEOUT')
    t.deepEqual(ends.all, [])
    // What comes too late ends no message.
    await peer.write('hed')
    go.resolve()
    t.deepEqual(await peer.readToEnd(), frame('reply'))
    peer.socket.end()
    t.is(await ends.take(), 'ERR_READ_TIMEOUT')
    t.is(await peer.closed, undefined)
    t.deepEqual([seen, errors.all], [['whole'], ['ERR_READ_TIMEOUT']])
  })
}

for (const place of places.filter(({ side }) => side === 'server')) {
  test(`a reply that has begun to leave arrives whole: ${words(place)}`, async (t) => {
    const { errors, ends, options } = limits()
    const reply = pattern(large)
    const { peer } = await connectionAt(t, place, { ...options, onRequest: () => reply })
    peer.socket.pause()
    await peer.write(oneAndAHalf)
    t.is(await errors.take(), 'ERR_READ_TIMEOUT')
    peer.socket.resume()
    t.true((await peer.readToEnd()).equals(frame(reply)))
    peer.socket.end()
    t.is(await ends.take(), 'ERR_READ_TIMEOUT')
  })
}

const module = new URL('../../fixtures/handler.mjs', import.meta.url)

for (const threads of [1, 2, 3]) {
  for (const transport of ['tcp', 'unix'] as const) {
    test(`workers answer, too: ${threads} workers, ${transport}`, async (t) => {
      const { errors, ends, options } = limits()
      const { readTimeout, onError, onDisconnect } = options
      const gate = new Int32Array(new SharedArrayBuffer(8))
      const workers = { module, threads, workerData: { gate } }
      const server = createServer({ framing, readTimeout, onError, onDisconnect, workers })
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen(placeOf(t, transport))
      const peer = await connectPeer(t, targetOf(server))
      await peer.write(frames('wait:1', 'unfinished').subarray(0, -3))
      t.is(await errors.take(), 'ERR_READ_TIMEOUT')
      Atomics.store(gate, 1, 1)
      Atomics.notify(gate, 1)
      t.deepEqual(await peer.readToEnd(), frame('1'))
      peer.socket.end()
      t.is(await ends.take(), 'ERR_READ_TIMEOUT')
    })
  }
}
