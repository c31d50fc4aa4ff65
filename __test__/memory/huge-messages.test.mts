// What is too long to be sent is refused before anything of it is queued: the connection goes on, in step.
import test from 'ava'

import {
  type Connection,
  delimiter,
  type Framing,
  lengthField,
  type NetpollError,
  varint,
} from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import { connectionAt } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'

/** Nobody touches it: the system gives it no memory. */
const huge = new Uint8Array(2 ** 32)

/** Framings that can say such a length, or need not, and a short message in each. */
const able: Readonly<Record<string, readonly [Framing, Buffer]>> = {
  'eight bytes': [lengthField({ size: 8 }), Buffer.from('\0\0\0\0\0\0\0\x04next')],
  'eight bytes, little': [lengthField({ size: 8, endian: 'little' }), Buffer.from('\x04\0\0\0\0\0\0\0next')],
  varint: [varint(), Buffer.from('\x04next')],
  delimiter: [delimiter('\n'), Buffer.from('next\n')],
}

/** Framings that cannot. */
const unable: Readonly<Record<string, readonly [Framing, Buffer]>> = {
  'four bytes': [lengthField({ size: 4 }), frame('next')],
  'three bytes': [lengthField({ size: 3 }), Buffer.from('\0\0\x04next')],
  'a byte': [lengthField({ size: 1 }), Buffer.from('\x04next')],
  'four bytes that count themselves': [
    lengthField({ size: 4, adjustment: -4 }),
    Buffer.from('\0\0\0\x08next'),
  ],
}

type Send = (connection: Connection) => Promise<unknown>

const wholly: Readonly<Record<string, Send>> = {
  'as bytes': (connection) => connection.send(huge),
  'in a list': (connection) => connection.send(['first', huge]),
  'in a list, first': (connection) => connection.send([huge, 'last']),
  'in a list, behind what was allocated': (connection) => connection.send([connection.allocate(100), huge]),
  'in a list, behind much': (connection) => connection.send([Buffer.alloc(300_000), huge, Buffer.alloc(10)]),
  'with end': (connection) => connection.end(['first', huge]),
  'by a writer': async (connection) => {
    connection.writer.writeString('first')
    const error = await rejection(Promise.resolve().then(() => connection.writer.writeBinary(huge)))
    if (connection.writer.mallocLength !== 5) throw new Error('the writer keeps what it has refused')
    connection.writer.mallocAck(0)
    throw error
  },
}

/** What is more than four bytes can say although each piece can be copied. */
const inSum: Readonly<Record<string, Send>> = {
  ...wholly,
  'by a writer, from where it lies': (connection) => {
    connection.writer.writeDirect(huge)
    return connection.writer.flush()
  },
}

for (const place of places) {
  for (const [framings, ways] of [
    [able, wholly],
    [unable, inSum],
  ] as const) {
    for (const [name, [framing, next]] of Object.entries(framings)) {
      for (const [way, send] of Object.entries(ways)) {
        test(`4 GiB ${way}: ${words(place)}, ${name}`, async (t) => {
          const { connection, peer } = await connectionAt(t, place, { framing, onError: () => t.fail() })
          const error = await rejection(send(connection))
          t.is(codeOf(error), 'ERR_FRAME_TOO_LARGE', String(error))
          t.true(connection.isActive)
          await connection.send('next')
          t.deepEqual(await peer.read(next.length), next)
        })
      }
    }
  }

  for (const [name, [framing, next]] of Object.entries({ ...able, ...unable })) {
    if (name === 'delimiter') continue
    test(`a call of 4 GiB is not sent: ${words(place)}, ${name}`, async (t) => {
      const { connection, peer } = await connectionAt(t, place, { framing, id: { offset: 0, size: 1 } })
      const error = (await rejection(connection.call(['x', huge], { timeout: 30_000 }))) as NetpollError
      t.like(error, { code: 'ERR_FRAME_TOO_LARGE', sent: false })
      await connection.send('next')
      t.deepEqual(await peer.read(next.length), next)
    })
  }

  test(`a reply of 4 GiB closes its connection behind the others: ${words(place)}`, async (t) => {
    const errors = new Inbox<unknown>()
    const { peer } = await connectionAt(t, place, {
      framing: lengthField({ size: 8 }),
      onError: errors.push,
      onRequest: (request) => (String(request) === 'huge' ? ['first', huge] : request),
    })
    const [hello, bye] = ['hello', 'huge'].map((text) =>
      Buffer.concat([Buffer.from(`\0\0\0\0\0\0\0`), Buffer.from([text.length]), Buffer.from(text)]),
    )
    await peer.write(Buffer.concat([hello as Buffer, bye as Buffer]))
    t.deepEqual(await peer.readToEnd(), hello)
    t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
    peer.end()
  })
}
