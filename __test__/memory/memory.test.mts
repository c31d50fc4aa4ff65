import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import test, { type ExecutionContext } from 'ava'

import * as esm from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { frame, frames, pattern } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, serve } from '../support/netpoll.mjs'
import { arrived, serveStream } from '../support/streams.mjs'
import { isOverTls } from '../support/over-tls/record.mjs'
import { holding, runFixture } from '../support/system.mjs'

for (const bytes of ['buffer', 'uint8array'] as const) {
  test(`views of requests that are held never change, with bytes: '${bytes}'`, async (t) => {
    const held: Uint8Array[] = []
    const { port } = await serve(t, { bytes }, (request) => {
      held.push(request)
      return request
    })
    const peers = await Promise.all(Array.from({ length: 10 }, () => connectPeer(t, { port })))
    const sent = new Map<number, Buffer>()
    for (let round = 0; round < 40; round += 1) {
      await Promise.all(
        peers.map(async (peer, index) => {
          const messages = Array.from({ length: 10 }, (_, place) => {
            const seed = 1 + place + 10 * (index + 10 * round)
            const message = pattern(16 + ((seed * 37) % 3_000), seed)
            message.writeUInt32BE(seed)
            sent.set(seed, message)
            return message
          })
          const request = frames(...messages)
          await peer.write(request)
          t.true((await peer.read(request.length)).equals(request))
        }),
      )
    }
    t.is(held.length, 4_000)
    for (const view of held) {
      const copy = Buffer.from(view)
      t.true(copy.equals(sent.get(copy.readUInt32BE(0)) as Buffer))
    }
  })
}

test('replies that are held never change', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const client = await dial(t, { host: '127.0.0.1', port })
  const held: Buffer[] = []
  for (let seed = 0; seed < 3_000; seed += 1) held.push(await client.call(pattern(500, seed)))
  t.true(held.every((view, seed) => view.equals(pattern(500, seed))))
})

test('views survive collections, and memory comes back', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'held-views', { flags: ['--expose-gc'] })
  t.is(stderr, '')
  t.is(stdout, 'intact\n')
  t.is(code, 0)
})

/** Mode, threads, pollers, and how many of the workers' threads are terminated meanwhile. */
const modes = [
  ['workers', 1, 0, 0],
  ['workers', 2, 0, 0],
  ['workers', 3, 1, 0],
  ['workers', 2, 2, 0],
  ['workers', 3, 0, 12],
  ['dialer', 1, 0, 0],
  ['dialer', 2, 2, 0],
  ['dialer', 2, 1, 12],
  ['server', 1, 0, 0],
  ['server', 2, 1, 12],
] as const

for (const [mode, threads, pollers, terminations] of modes) {
  const title = `${mode}, ${threads} threads, ${pollers} pollers, ${terminations} terminations`
  test(`chunks that several environments see come back: ${title}`, async (t) => {
    const { live, left, most } = await liveChunks(t, mode, threads, pollers, 20_000, terminations)
    t.true(live <= 64, `${live} chunks are live`)
    t.true(left <= most, `${left} chunks are left`)
  })
}

for (const pollers of [0, 1, 2]) {
  test(`an environment that is idle keeps two chunks, and a poller one: ${pollers} pollers`, async (t) => {
    const { left, most } = await liveChunks(t, 'environments', 2, pollers, 5_000, 0)
    t.true(left <= most, `${left} chunks are left`)
  })
  test(`messages of their own chunks come back without further traffic: ${pollers} pollers`, async (t) => {
    const { left, most } = await liveChunks(t, 'large', 0, pollers, 40, 0)
    t.true(left <= most, `${left} chunks are left`)
  })
}

interface LiveChunks {
  readonly live: number
  readonly left: number
  readonly most: number
}

async function liveChunks(t: ExecutionContext, ...given: readonly (string | number)[]): Promise<LiveChunks> {
  const { code, stdout, stderr } = await runFixture(t, 'live-chunks', {
    args: given.map(String),
    flags: ['--expose-gc'],
  })
  t.deepEqual([code, stderr], [0, ''])
  return JSON.parse(stdout) as LiveChunks
}

for (const kind of ['reader', 'duplex'] as const) {
  test(`a peer that sends a byte now and then keeps no chunk for each: ${kind}`, async (t) => {
    const { code, stdout, stderr } = await runFixture(t, 'trickling-peers', {
      args: [kind],
      flags: ['--expose-gc'],
    })
    t.deepEqual([code, stderr], [0, ''])
    const { held, isWhole } = JSON.parse(stdout) as { held: number; isWhole: boolean }
    t.true(isWhole)
    t.true(held < 10, `${held} chunks are held`)
  })
}

const eightMiB = 8 * 1024 * 1024

interface Cost {
  readonly liveBytes: number
  readonly resident: number
}

async function costOf(
  t: ExecutionContext,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<Cost> {
  const flags = ['--expose-gc']
  const { code, stdout, stderr } = await runFixture(t, 'one-byte-peers', { args, flags, env })
  t.deepEqual([code, stderr], [0, ''])
  return JSON.parse(stdout) as Cost
}

test('2,000 peers that send one byte each cost little beside the same calls without them', async (t) => {
  const without = await costOf(t, ['nothing', 'inline', 'tcp', '2000'])
  const beside = await costOf(t, ['byte', 'inline', 'tcp', '2000'])
  const chunks = beside.liveBytes - without.liveBytes
  t.true(chunks <= eightMiB, `${chunks} bytes of chunks`)
  const resident = beside.resident - without.resident
  t.true(resident <= 2 * eightMiB, `${resident} bytes of memory`)
})

for (const kind of ['header', 'body', 'held', 'stream'] as const) {
  for (const [mode, transport] of [
    ['inline', 'unix'],
    ['pollers', 'tcp'],
  ] as const) {
    test(`peers that begin and leave it at that keep no chunk for each: ${kind}, ${mode}, ${transport}`, async (t) => {
      const { liveBytes } = await costOf(t, [kind, mode, transport, '300'], kind === 'held' ? holding : {})
      t.true(liveBytes <= eightMiB, `${liveBytes} bytes of chunks`)
    })
  }
}

for (const kind of ['unfinished', 'held'] as const) {
  test(`a server keeps no more input than the guide to operating says: ${kind}`, async (t) => {
    const guide = await readFile(new URL('../../docs/guides/operating.md', import.meta.url), 'utf8')
    const [, bufferedMiB] = /maxBufferedBytes: (\d+) \* 1024 \* 1024,/.exec(guide) ?? []
    const [, said] = /keep at most (\d+) MiB of input/.exec(guide) ?? []
    t.truthy(said)
    t.is(said, bufferedMiB)
    // A sixteenth of it, for the time that it takes.
    const most = (Number(said) / 16) * 1024 * 1024
    const { code, stdout, stderr } = await runFixture(t, 'most-input', {
      args: [`${most}`, `${1024 * 1024}`, kind],
      flags: ['--expose-gc'],
      env: kind === 'held' ? holding : {},
    })
    t.deepEqual([code, stderr], [0, ''])
    const held = JSON.parse(stdout) as { most: number; refused: number; peers: number }
    // With TLS a record is read of what is held, and no whole chunk: all of them fit.
    const refusesSome = held.refused > 0 || (isOverTls && kind === 'held')
    t.true(refusesSome && held.refused < held.peers, `${held.refused} of ${held.peers} were refused`)
    // JavaScript has one chunk of the server's and Rust reads into one.
    t.true(held.most <= most + 2 * 256 * 1024, `${held.most} bytes of chunks`)
  })
}

for (const pollers of [0, 1]) {
  for (const how of ['reply', 'send', 'write'] as const) {
    test(`what lies in a chunk and in no message is not sent: ${how}, ${pollers} pollers`, async (t) => {
      const errors = new Inbox<unknown>()
      const options = { pollers, onError: errors.push }
      const { port } = await serve(t, options, async (request, connection) => {
        if (request.length < 1_000) return request
        // A classic mistake: all of the chunk, also what the poller reads into at this moment.
        const all = Buffer.from(request.buffer)
        if (how === 'reply') return all
        if (how === 'send') await connection.send(all)
        else {
          connection.writer.writeDirect(all)
          await connection.writer.flush()
        }
        return undefined
      })
      const mistaken = await connectPeer(t, { port })
      const other = await connectPeer(t, { port })
      await mistaken.write(frame(pattern(1_000)))
      t.is(codeOf(await errors.take()), 'ERR_BUFFER_DETACHED')
      await other.write(frame('hello'))
      t.deepEqual(await other.read(9), frame('hello'))
    })
  }
}

// Alone: it takes the memory from the views that other tests of this process hold, too.
test.serial('a request whose buffer is transferred away spoils no other connection', async (t) => {
  const taken: { readonly from: number; readonly buffer: ArrayBuffer }[] = []
  const { port } = await serve(t, {}, (request) => {
    if (request.toString('latin1', 0, 4) !== 'take') return request
    const buffer = request.buffer as ArrayBuffer & { transfer?: () => ArrayBuffer }
    const from = request.byteOffset
    // Node.js 20 has no `transfer`, and copies what a native module owns.
    taken.push({ from, buffer: buffer.transfer?.() ?? structuredClone(buffer, { transfer: [buffer] }) })
    return 'taken'
  })
  const taker = await connectPeer(t, { port })
  const others = await Promise.all(Array.from({ length: 5 }, () => connectPeer(t, { port })))
  for (let round = 0; round < 50; round += 1) {
    const messages = [1, 2, 3].map((seed) => pattern(1_000, seed + round))
    await Promise.all([
      taker.write(frames('take this', 'echo')),
      ...others.map((other) => other.write(frames(...messages))),
    ])
    for (const other of others) {
      const expected = frames(...messages)
      t.true((await other.read(expected.length)).equals(expected))
    }
    t.deepEqual(await taker.read(17), frames('taken', 'echo'))
  }
  t.is(taken.length, 50)
  for (const { buffer, from } of taken) t.is(Buffer.from(buffer, from, 9).toString(), 'take this')
})

// Alone, as above.
test.serial(
  'bytes that a stream has not read are never others, also when their buffer is transferred away',
  async (t) => {
    const errors = new Inbox<unknown>()
    const { port, connections } = await serveStream(t, { onError: errors.push }, ({ reader }) => {
      if (reader.length >= 8) t.is(reader.readString(8), 'unspoilt')
    })
    const peer = await connectPeer(t, { port })
    const waiting = await connections.take()
    const taker = await connectPeer(t, { port })
    const taking = await connections.take()
    taking.onData = ({ reader }) => {
      const buffer = reader.next(reader.length).buffer as ArrayBuffer & { transfer?: () => ArrayBuffer }
      if (buffer.transfer === undefined) structuredClone(buffer, { transfer: [buffer] })
      else buffer.transfer()
    }
    await peer.write('unsp')
    await arrived(waiting, 4)
    await taker.write('take')
    await arrived(taking, 4)
    await peer.write('oilt')
    const isFailed = 'transfer' in ArrayBuffer.prototype
    if (isFailed) await errors.take()
    else await arrived(waiting, 8)
    t.deepEqual(errors.all.map(codeOf), isFailed ? ['ERR_BUFFER_DETACHED'] : [])
  },
)

test('a reply may be changed by its owner as soon as it was returned or sent', async (t) => {
  const { port } = await serve(t, {}, (_request, connection) => {
    const large = Buffer.alloc(200_000, 1)
    const small = Buffer.alloc(10, 1)
    void connection.send(large)
    void connection.send([small, large])
    void connection.send(small)
    large.fill(2)
    small.fill(2)
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  const [large, small] = [Buffer.alloc(200_000, 1), Buffer.alloc(10, 1)]
  const expected = frames(large, Buffer.concat([small, large]), small)
  t.true((await peer.read(expected.length)).equals(expected))
})

test('a request may be sent on to other connections, as often as one likes', async (t) => {
  const connections = new Inbox<esm.Connection>()
  const { port } = await serve(
    t,
    { onConnect: (connection) => void connections.push(connection) },
    (request) => {
      for (const connection of connections.all) void connection.send([request, '!', request.subarray(1)])
    },
  )
  const peers = await Promise.all(Array.from({ length: 5 }, () => connectPeer(t, { port })))
  await connections.reach(5)
  const message = pattern(20_000)
  await peers[0]?.write(frames(message, 'short'))
  const expected = Buffer.concat([
    frame(Buffer.concat([message, Buffer.from('!'), message.subarray(1)])),
    frame('short!hort'),
  ])
  for (const peer of peers) t.true((await peer.read(expected.length)).equals(expected))
})

test('messages by the ten thousand in one turn are sent in order', async (t) => {
  const { port } = await serve(t, {}, (_request, connection) => {
    for (let index = 0; index < 10_000; index += 1) void connection.send([`${index}`, '|', `${index * 2}`])
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  const expected = frames(...Array.from({ length: 10_000 }, (_, index) => `${index}|${index * 2}`))
  t.true((await peer.read(expected.length)).equals(expected))
})

test('ES modules and CommonJS share one implementation', async (t) => {
  const require = createRequire(import.meta.url)
  const cjs = require('../../dist/index.js') as typeof esm
  t.is(cjs.NetpollError, esm.NetpollError)
  t.deepEqual(Object.keys(esm).toSorted(), Object.keys(cjs).toSorted())
  const exported = new Map<string, unknown>(Object.entries(esm))
  for (const [name, value] of Object.entries(cjs)) t.is(exported.get(name), value, name)
  const error = await new cjs.Dialer({ framing: esm.varint() })
    .dial({ path: '/nowhere' })
    .catch((e: unknown) => e)
  t.true(error instanceof esm.NetpollError)
})
