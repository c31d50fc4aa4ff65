import test from 'ava'

import { delimiter, type Framing, lengthField, varint } from '../../dist/index.mjs'
import { pattern } from '../support/frames.mjs'
import { connectPeer, serve } from '../support/netpoll.mjs'

interface Case {
  readonly title: string
  readonly framing: Framing
  /** A request of a peer, written without the code under test. */
  readonly wire: (body: Buffer) => Buffer
  /** What the handler has to see of it. Default: the body. */
  readonly seen?: (body: Buffer) => Buffer
  /** What an echo of it is on the wire. Default: the request's own bytes. */
  readonly echoed?: (body: Buffer) => Buffer
  readonly bodies?: readonly Buffer[]
}

type Endian = 'big' | 'little'

function field(value: number, size: number, endian: Endian): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  const big = bytes.subarray(8 - size)
  return endian === 'big' ? big : Buffer.from(big).reverse()
}

function varintOf(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128)
  return Buffer.from([...bytes, rest])
}

const lengthFields: Case[] = ([1, 2, 3, 4, 8] as const).flatMap((size) =>
  (['big', 'little'] as const).map((endian) => ({
    title: `a ${size}-byte ${endian}-endian length`,
    framing: lengthField({ size, endian }),
    wire: (body: Buffer) => Buffer.concat([field(body.length, size, endian), body]),
  })),
)

const prefix = Buffer.from([7, 8, 9])
const zeros = Buffer.alloc(3)

const cases: readonly Case[] = [
  ...lengthFields,
  {
    title: 'a length after three other bytes',
    framing: lengthField({ size: 2, offset: 3 }),
    wire: (body) => Buffer.concat([prefix, field(body.length, 2, 'big'), body]),
    echoed: (body) => Buffer.concat([zeros, field(body.length, 2, 'big'), body]),
  },
  {
    title: 'a length that counts itself',
    framing: lengthField({ size: 4, adjustment: -4 }),
    wire: (body) => Buffer.concat([field(body.length + 4, 4, 'big'), body]),
  },
  {
    title: 'a length that leaves out two bytes behind it',
    framing: lengthField({ size: 2, adjustment: 2, endian: 'little' }),
    wire: (body) => Buffer.concat([field(body.length - 2, 2, 'little'), body]),
    bodies: [pattern(2), pattern(3), pattern(100)],
  },
  {
    title: 'whole frames with strip 0',
    framing: lengthField({ size: 4, strip: 0 }),
    wire: (body) => Buffer.concat([field(body.length, 4, 'big'), body]),
    seen: (body) => Buffer.concat([field(body.length, 4, 'big'), body]),
  },
  {
    title: 'frames that keep their length and lose what is before it',
    framing: lengthField({ size: 2, offset: 3, strip: 3 }),
    wire: (body) => Buffer.concat([prefix, field(body.length, 2, 'big'), body]),
    seen: (body) => Buffer.concat([field(body.length, 2, 'big'), body]),
    echoed: (body) => Buffer.concat([zeros, field(body.length, 2, 'big'), body]),
  },
  {
    title: 'frames that lose the first of three bytes before the length',
    framing: lengthField({ size: 2, offset: 3, strip: 1 }),
    wire: (body) => Buffer.concat([prefix, field(body.length, 2, 'big'), body]),
    seen: (body) => Buffer.concat([prefix.subarray(1), field(body.length, 2, 'big'), body]),
    echoed: (body) =>
      Buffer.concat([Buffer.alloc(1), prefix.subarray(1), field(body.length, 2, 'big'), body]),
  },
  {
    title: 'a one-byte delimiter',
    framing: delimiter('\n'),
    wire: (body) => Buffer.concat([body, Buffer.from('\n')]),
    bodies: [Buffer.from(''), Buffer.from('a'), Buffer.from('hello, delimiter')],
  },
  {
    title: 'a delimiter that overlaps itself',
    framing: delimiter('aab'),
    wire: (body) => Buffer.concat([body, Buffer.from('aab')]),
    bodies: [Buffer.from(''), Buffer.from('a'), Buffer.from('aaaa'), Buffer.from('abaaXaa')],
  },
  {
    title: 'a varint',
    framing: varint(),
    wire: (body) => Buffer.concat([varintOf(body.length), body]),
    bodies: [pattern(0), pattern(1), pattern(127), pattern(128)],
  },
]

const ordinary = [pattern(0), pattern(1), pattern(40), pattern(255)]

for (const { title, framing, wire, seen, echoed, bodies } of cases) {
  const messages = bodies ?? ordinary

  test(`every split of a frame with ${title} is put together`, async (t) => {
    const requests: Buffer[] = []
    const { port } = await serve(t, { framing }, (request) => {
      requests.push(Buffer.from(request))
      return request
    })
    const peer = await connectPeer(t, { port })
    const witness = await connectPeer(t, { port })
    const ping = wire(messages[1] as Buffer)
    const pong = (echoed ?? wire)(messages[1] as Buffer)
    for (const body of messages) {
      const request = wire(body)
      const expected = (echoed ?? wire)(body)
      for (let split = 1; split < request.length; split += 1) {
        await peer.write(request.subarray(0, split))
        // Once a later request of somebody else is answered, the server has read the first part.
        await witness.write(ping)
        t.deepEqual(await witness.read(pong.length), pong)
        requests.length = 0
        await peer.write(request.subarray(split))
        t.deepEqual(await peer.read(expected.length), expected, `split at ${split}`)
        t.deepEqual(requests, [(seen ?? ((same: Buffer) => same))(body)])
      }
    }
  })

  test(`frames back to back with ${title} are cut apart`, async (t) => {
    const { port } = await serve(t, { framing }, (request) => request)
    const peer = await connectPeer(t, { port })
    const many = Array.from({ length: 50 }, () => messages).flat()
    const expected = Buffer.concat(many.map(echoed ?? wire))
    void peer.write(Buffer.concat(many.map(wire)))
    t.true((await peer.read(expected.length)).equals(expected))
  })

  test(`replies of the user's own memory get the header of ${title}`, async (t) => {
    const { port } = await serve(t, { framing }, (request) => [Buffer.from(request), '', new Uint8Array(0)])
    const peer = await connectPeer(t, { port })
    for (const body of messages) {
      const expected = (echoed ?? wire)(body)
      await peer.write(wire(body))
      t.deepEqual(await peer.read(expected.length), expected)
    }
  })
}

test('varints of one, two, three and four bytes are read and written', async (t) => {
  const { port } = await serve(t, { framing: varint() }, (request) => Buffer.from(request))
  const peer = await connectPeer(t, { port })
  for (const length of [0, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
    const body = pattern(length)
    const request = Buffer.concat([varintOf(length), body])
    void peer.write(request)
    const reply = await peer.read(request.length)
    t.true(reply.equals(request), `${length} bytes`)
  }
})

test('a varint that is longer than it need be is still a length', async (t) => {
  const { port } = await serve(t, { framing: varint() }, (request) => request)
  const peer = await connectPeer(t, { port })
  await peer.write(Buffer.from([0x82, 0x80, 0x00, 0x61, 0x62]))
  t.deepEqual(await peer.read(3), Buffer.from([2, 0x61, 0x62]))
})

test('a long header of zeros fits wherever the memory that messages are built in has got to', async (t) => {
  const framing = lengthField({ size: 4, offset: 60_000, strip: 1 })
  const wire = Buffer.alloc(60_005)
  wire.writeUInt32BE(1, 60_000)
  wire[60_004] = 65
  const { port } = await serve(t, { framing }, async (request, connection) => {
    const copies = Array.from({ length: 10 }, () => [Buffer.from(request)])
    await Promise.all(copies.map((copy) => connection.send(copy)))
  })
  const peer = await connectPeer(t, { port })
  void peer.write(wire)
  t.true((await peer.read(10 * wire.length)).equals(Buffer.concat(Array.from({ length: 10 }, () => wire))))
})
