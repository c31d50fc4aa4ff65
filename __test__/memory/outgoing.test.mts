import { once } from 'node:events'
import test from 'ava'

import { type Connection, createServer, stats } from '../../dist/index.mjs'
import { Inbox, nextTurn, until } from '../support/deferred.mjs'
import { frame, pattern } from '../support/frames.mjs'
import { placeOf } from '../support/listeners.mjs'
import { codeOf, connectPeer, framing, serve, targetOf } from '../support/netpoll.mjs'
import { connectionAt, type PlacedOptions } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'

const lengths = [1_000, 16 * 1024, 20_000, 70_000, 300_000, 5_000_000]

type Transferable = ArrayBuffer & { transfer(): ArrayBuffer; resize(length: number): void }
type Making = new (length: number, options: { readonly maxByteLength: number }) => Transferable

/** Gives memory to a new owner. Node.js 20 copies that of the library instead, as `structuredClone` does. */
function transferAway(buffer: ArrayBuffer): void {
  if ('transfer' in buffer) (buffer as Transferable).transfer()
  else structuredClone(buffer, { transfer: [buffer] })
}

/** Memory of users, by what they may do with it once a call has returned. */
const spoilers: { readonly [name: string]: (length: number) => readonly [Buffer, () => void] } = {
  changed: (length) => {
    const memory = Buffer.allocUnsafe(length)
    return [memory, () => void memory.fill(0)]
  },
  transferred: (length) => {
    const buffer = new ArrayBuffer(length)
    const memory = Buffer.from(buffer)
    return [memory, () => transferAway(buffer)]
  },
  resized: (length) => {
    const buffer = new (ArrayBuffer as unknown as Making)(length, { maxByteLength: length })
    return [Buffer.from(buffer), () => buffer.resize(0)]
  },
  shared: (length) => {
    const memory = Buffer.from(new SharedArrayBuffer(length))
    return [memory, () => void memory.fill(0)]
  },
}

for (const place of places) {
  for (const [name, make] of Object.entries(spoilers)) {
    test(`what was sent may be ${name} at once: ${words(place)}`, async (t) => {
      const { connection, peer } = await connectionAt(t, place)
      peer.socket.pause()
      for (const length of lengths) {
        const [memory, spoil] = make(length)
        memory.set(pattern(length, length))
        void connection.send(memory)
        spoil()
      }
      peer.socket.resume()
      for (const length of lengths) {
        t.true((await peer.read(4 + length)).equals(frame(pattern(length, length))), `${length} bytes`)
      }
    })

    test(`what was written to a stream may be ${name} once its callback runs: ${words(place)}`, async (t) => {
      const options = { framing: undefined } as unknown as PlacedOptions
      const { connection, peer } = await connectionAt(t, place, options)
      const duplex = connection.toDuplex()
      for (const length of lengths) {
        const [memory, spoil] = make(length)
        const expected = pattern(length, length)
        memory.set(expected)
        const written = new Promise<void>((resolve) => {
          duplex.write(memory, () => {
            spoil()
            resolve()
          })
        })
        t.true((await peer.read(length)).equals(expected), `${length} bytes`)
        await written
      }
    })
  }

  test(`what shrinks or is another thread's is copied, however slow the peer is: ${words(place)}`, async (t) => {
    const options = { framing: undefined } as unknown as PlacedOptions
    const { connection, peer } = await connectionAt(t, place, options)
    peer.socket.pause()
    const duplex = connection.toDuplex()
    const length = 8_000_000
    for (const name of ['resized', 'shared'] as const) {
      const [memory, spoil] = (spoilers[name] as (typeof spoilers)[string])(length)
      memory.fill('a')
      const written = once(duplex, 'drain')
      duplex.write(memory)
      spoil()
      peer.socket.resume()
      t.true((await peer.read(length)).equals(Buffer.alloc(length, 'a')), name)
      await written
      peer.socket.pause()
    }
  })

  test(`a reply of any size may be made in one buffer, or where it leaves: ${words(place)}`, async (t) => {
    const scratch = Buffer.alloc(5_000_000)
    let answered = 0
    const onRequest = (request: Buffer, connection: Connection): Uint8Array => {
      answered += 1
      const length = request.readUInt32BE(0)
      const reply = answered % 2 === 0 ? connection.allocate(length) : scratch.subarray(0, length)
      reply.set(pattern(length, request[4] as number))
      return reply
    }
    const { peer } = await connectionAt(t, place, { onRequest } as unknown as PlacedOptions)
    peer.socket.pause()
    const asked = Array.from({ length: 60 }, (_, index) => lengths[(index * 7) % lengths.length] as number)
    for (const [index, length] of asked.entries()) {
      const request = Buffer.alloc(5)
      request.writeUInt32BE(length)
      request[4] = index
      void peer.write(frame(request))
    }
    peer.socket.resume()
    for (const [index, length] of asked.entries()) {
      t.true((await peer.read(4 + length)).equals(frame(pattern(length, index))), `reply ${index}`)
    }
  })

  test(`memory that was allocated may be sent twice, transferred or dropped: ${words(place)}`, async (t) => {
    const { connection, peer } = await connectionAt(t, place)
    peer.socket.pause()
    const expected: Buffer[] = []
    for (let round = 0; round < 4; round += 1) {
      for (const length of [1_000, 40_000, 130_000, 300_000, 2_000_000]) {
        const bytes = pattern(length, length + round)
        const memory = connection.allocate(length)
        connection.allocate(length).fill(0xff)
        memory.set(bytes)
        void connection.send(memory)
        void connection.send(memory)
        expected.push(bytes, bytes)
        // All of its chunk belongs to the new owner then.
        if (round % 2 === 1) transferAway(memory.buffer as ArrayBuffer)
      }
      await nextTurn()
    }
    peer.socket.resume()
    for (const bytes of expected) {
      t.true((await peer.read(4 + bytes.length)).equals(frame(bytes)), `${bytes.length} bytes`)
    }
  })
}

for (const { side, pollers, transport } of places) {
  test.serial(
    `memory that was allocated leaves by a stream, and is used again: ${side}, ${pollers} pollers, ${transport}`,
    async (t) => {
      const options = { framing: undefined } as unknown as PlacedOptions
      const { connection, peer } = await connectionAt(t, { side, pollers, transport }, options)
      const duplex = connection.toDuplex()
      const before = stats().chunks.outgoing
      const kept: Buffer[] = []
      for (let round = 0; round < 100; round += 1) {
        const memory = connection.allocate(40_000)
        const expected = pattern(memory.length, round + 1)
        memory.set(expected)
        // As long as there is a view, no collection brings the memory back.
        kept.push(memory)
        const written = new Promise((resolve) => duplex.write(memory, resolve))
        t.true((await peer.read(expected.length)).equals(expected), `write ${round}`)
        await written
      }
      t.is(kept.length, 100)
      const after = stats().chunks.outgoing
      t.true(after <= before + 4, `${before} chunks before, ${after} after`)
    },
  )
}

for (const transport of ['tcp', 'unix'] as const) {
  test(`the memory of a large write is kept until the callback: inline, ${transport}`, async (t) => {
    const options = { framing: undefined } as unknown as PlacedOptions
    const { connection, peer } = await connectionAt(t, { side: 'server', pollers: 0, transport }, options)
    peer.socket.pause()
    const duplex = connection.toDuplex()
    const buffer = new ArrayBuffer(20_000_000)
    const failed = once(duplex, 'error')
    const told = new Promise((resolve) => duplex.write(Buffer.from(buffer), resolve))
    transferAway(buffer)
    peer.socket.resume()
    t.is(codeOf((await failed)[0]), 'ERR_BUFFER_DETACHED')
    t.is(codeOf(await told), 'ERR_BUFFER_DETACHED')
  })
}

/** Bytes that have left, of all that was sent before this turn: a poller on a thread writes before it answers again. */
function written(connection: Connection): number {
  return Math.max(connection.bytesWritten, connection.bytesWritten)
}

const taken = (): number => stats().chunks.hits + stats().chunks.misses

/** Chunks that were taken from the pool while `run` ran, beyond those that `received` bytes need. */
async function takenBy(run: () => Promise<unknown>, received: number): Promise<number> {
  const before = taken()
  await run()
  return taken() - before - received / (256 * 1024)
}

// What is counted is counted of the whole process.
for (const pollers of [0, 1, 2]) {
  for (const length of [4_000, 32 * 1024, 100_000, 400_000]) {
    for (const how of ['allocated', 'copied'] as const) {
      test.serial(
        `memory of replies is used again: ${how}, ${length} bytes, ${pollers} pollers`,
        async (t) => {
          const { port } = await serve(t, { pollers }, (_, connection) =>
            how === 'allocated' ? connection.allocate(length).fill(1) : Buffer.alloc(length, 1),
          )
          const peers = await Promise.all(Array.from({ length: 8 }, () => connectPeer(t, { port })))
          const round = (): Promise<unknown> =>
            Promise.all(
              peers.map(async (peer) => {
                await peer.write(frame('x'))
                t.is((await peer.read(4 + length)).length, 4 + length)
              }),
            )
          await round()
          const rounds = 50
          const chunks = await takenBy(async () => {
            for (let count = 0; count < rounds; count += 1) await round()
          }, 0)
          const sent = (rounds * peers.length * length) / (256 * 1024)
          t.true(chunks < 40 + sent / 20, `${chunks} chunks for ${sent}`)
        },
      )
    }
  }

  test.serial(`what many messages of one turn have needed is given back: ${pollers} pollers`, async (t) => {
    const accepted = new Inbox<Connection>()
    const { port } = await serve(t, { pollers, onConnect: accepted.push }, () => {})
    await connectPeer(t, { port })
    const connection = await accepted.take()
    for (let count = 0; count < 100; count += 1) {
      void connection.send(Buffer.alloc(100_000))
      void connection.send(connection.allocate(300_000))
    }
    const most = stats().chunks.outgoing
    t.true(most > 30, `${most} chunks`)
    await until(() => stats().chunks.outgoing <= 1)
    t.pass()
  })

  for (const transport of ['tcp', 'unix'] as const) {
    test.serial(
      `small messages that wait for slow peers keep no chunks: ${pollers} pollers, ${transport}`,
      async (t) => {
        const accepted = new Inbox<Connection>()
        const server = createServer({ framing, pollers, onConnect: accepted.push })
        t.teardown(() => server.close({ timeout: 0 }))
        await server.listen(placeOf(t, transport))
        const reading = await connectPeer(t, targetOf(server))
        const other = await accepted.take()
        const count = transport === 'unix' ? 64 : 8
        const before = stats().chunks.liveBytes
        for (let peer = 0; peer < count; peer += 1) {
          await connectPeer(t, targetOf(server), { reading: false })
          const connection = await accepted.take()
          const message = Buffer.alloc(1_020)
          for (let sent = 0; written(connection) === sent; ) {
            sent += 4 + message.length
            void connection.send(message)
            await nextTurn()
            await nextTurn()
          }
          void other.send(Buffer.alloc(255 * 1024))
          await reading.read(255 * 1024 + 4)
        }
        await until(() => stats().chunks.outgoing <= 2)
        const each = (stats().chunks.liveBytes - before) / count
        t.true(each < 4 * 1024 + (1024 * 1024) / count, `${each} bytes for each peer`)
      },
    )
  }
}
