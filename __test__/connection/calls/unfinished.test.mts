// What has come whole is answered, although the message behind it is not finished within `readTimeout`.
import { once } from 'node:events'

import test, { type ExecutionContext } from 'ava'

import { createServer } from '../../../dist/index.mjs'
import { deferred, Inbox } from '../../support/deferred.mjs'
import { frame, frames, pattern } from '../../support/frames.mjs'
import { placeOf } from '../../support/listeners.mjs'
import { codeOf, connectPeer, framing, rejection, targetOf } from '../../support/netpoll.mjs'
import { connectionAt, type PlacedOptions } from '../../support/placed.mjs'
import { type Place, places, words } from '../../support/places.mjs'

type Placed = Awaited<ReturnType<typeof connectionAt>>

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

/** What ends reading behind a whole request, and what is told of it. */
const endings = [
  ['a message that is not finished in time', frame('unfinished').subarray(0, -3), 'ERR_READ_TIMEOUT'],
  ['a refused frame', Buffer.alloc(4, 0xff), 'ERR_FRAME_TOO_LARGE'],
  ['the end of the peer', Buffer.alloc(0), undefined],
] as const

/** A request that is answered as it is, and, of a dialed connection, a call: a reply to that counts for nothing. */
async function exchange(t: ExecutionContext, { side }: Place, { connection, peer }: Placed): Promise<void> {
  await peer.write(frame('first'))
  t.deepEqual(await peer.read(frame('first').length), frame('first'))
  if (side !== 'dialed') return
  const call = connection.call('question')
  await peer.read(frame('question').length)
  await peer.write(frame('answer'))
  t.is(String(await call), 'answer')
}

for (const place of places) {
  for (const [what, wire, code] of endings) {
    test(`a handler that was set later answers before ${what}: ${words(place)}`, async (t) => {
      const { errors, ends, options } = limits()
      const go = deferred()
      const { connection, peer } = await connectionAt(t, place, options)
      connection.onRequest = async (request) => {
        if (request.toString() !== 'whole') return request
        await go.promise
        return 'reply'
      }
      const { signal } = connection
      // Requests that come while a handler is set need not count.
      await exchange(t, place, { connection, peer })
      await peer.write(Buffer.concat([frame('whole'), wire]))
      if (code === undefined) peer.end()
      if (!signal.aborted) await once(signal, 'abort')
      t.deepEqual(ends.all, [])
      go.resolve()
      t.deepEqual(await peer.readToEnd(), frame('reply'))
      peer.end()
      t.is(await ends.take(), code)
      t.deepEqual(errors.all, code === undefined ? [] : [code])
    })

    test(`where nothing is owed it ends with ${what}, although a handler was set: ${words(place)}`, async (t) => {
      const { ends, options } = limits()
      const { connection, peer } = await connectionAt(t, place, options)
      connection.onRequest = (request) => request
      await exchange(t, place, { connection, peer })
      await peer.write(wire)
      if (code === undefined) peer.end()
      t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
      peer.end()
      t.is(await ends.take(), code)
    })
  }

  for (const [what, wire, code] of endings) {
    test(`the body of a loop still sends before ${what}: ${words(place)}`, async (t) => {
      const { ends, options } = limits()
      const { connection, peer } = await connectionAt(t, place, options)
      const { signal } = connection
      const seen: string[] = []
      const loop = (async () => {
        for await (const message of connection) {
          seen.push(message.toString())
          if (seen.length > 1 && !signal.aborted) await once(signal, 'abort')
          await connection.send(`${message} reply`)
        }
      })()
      // Messages that come while it begins need not count.
      await peer.write(frame('first'))
      t.deepEqual(await peer.read(frame('first reply').length), frame('first reply'))
      await peer.write(Buffer.concat([frames('whole', 'another'), wire]))
      if (code === undefined) peer.end()
      t.deepEqual(await peer.readToEnd(), frames('whole reply', 'another reply'))
      peer.end()
      t.is(await ends.take(), code)
      if (code === undefined) await loop
      else t.is(codeOf(await rejection(loop)), code)
      t.deepEqual(seen, ['first', 'whole', 'another'])
    })

    for (const leaves of ['before', 'behind'] as const) {
      test(`what a loop leaves ${leaves} ${what} keeps nothing open: ${words(place)}`, async (t) => {
        const { ends, options } = limits()
        const { connection, peer } = await connectionAt(t, place, options)
        const { signal } = connection
        const loop = (async () => {
          for await (const message of connection) {
            if (message.toString() === 'first') {
              await connection.send('reply')
            } else {
              if (leaves === 'behind' && !signal.aborted) await once(signal, 'abort')
              break
            }
          }
        })()
        await peer.write(frame('first'))
        t.deepEqual(await peer.read(frame('reply').length), frame('reply'))
        await peer.write(frames('whole', 'another', 'a third'))
        if (leaves === 'before') await loop
        await peer.write(wire)
        if (code === undefined) peer.end()
        t.deepEqual(await peer.readToEnd(), Buffer.alloc(0))
        peer.end()
        t.is(await ends.take(), code)
        await loop
        const left: string[] = []
        const rest = (async () => {
          for await (const message of connection) left.push(message.toString())
        })()
        if (code === undefined) await rest
        else t.is(codeOf(await rejection(rest)), code)
        t.deepEqual(left, ['another', 'a third'])
      })
    }
  }
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
