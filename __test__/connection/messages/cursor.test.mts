import test from 'ava'

import {
  type CursorHandler,
  createServer,
  Dialer,
  delimiter,
  type LaterReply,
  lengthField,
  type MessageReader,
  type MessageWriter,
  varint,
} from '../../../dist/index.mjs'
import { line } from '../../support/cursors.mjs'
import { deferred, Inbox, nextTurn, until } from '../../support/deferred.mjs'
import { frame, frames, pattern, unframe } from '../../support/frames.mjs'
import { codeOf, framing } from '../../support/netpoll.mjs'
import type { Peer } from '../../support/peer.mjs'
import { type Place, places, words } from '../../support/places.mjs'

const echo: CursorHandler = (reader, writer) => {
  writer.writeFrom(reader)
}

/** The code that `use` throws. */
function thrown(use: () => unknown): unknown {
  try {
    use()
  } catch (error) {
    return codeOf(error)
  }
  return undefined
}

const first = places[0] as Place

for (const place of places) {
  test(`messages are read and answered where they lie: ${words(place)}`, async (t) => {
    const { peer } = await line(t, place, (reader, writer) => {
      const size = reader.readUint(4)
      const text = reader.readString(3)
      const rest = reader.readBinary(reader.length)
      writer.writeUint(size + 1, 4)
      writer.writeString(`${text}é`)
      writer.writeBinary(rest)
    })
    const sent: Buffer[] = []
    const expected: Buffer[] = []
    for (let count = 0; count < 300; count += 1) {
      const rest = pattern((count * 37) % 3000, count + 1)
      const head = Buffer.alloc(4)
      head.writeUInt32BE(count)
      sent.push(frame(Buffer.concat([head, Buffer.from('abc'), rest])))
      const answer = Buffer.alloc(4)
      answer.writeUInt32BE(count + 1)
      expected.push(frame(Buffer.concat([answer, Buffer.from('abcé'), rest])))
    }
    void peer.write(Buffer.concat(sent))
    const all = Buffer.concat(expected)
    t.true((await peer.read(all.length)).equals(all))
  })

  test(`views and copies stay what they are, whatever is read behind them: ${words(place)}`, async (t) => {
    const kept: { readonly seed: number; readonly bytes: Buffer }[] = []
    let seed = 0
    const { peer } = await line(t, place, (reader, writer) => {
      seed += 1
      const { length } = reader
      if (seed % 5 === 0) kept.push({ seed, bytes: reader.next(length) })
      else if (seed % 5 === 1) kept.push({ seed, bytes: reader.readBinary(length) })
      else if (seed % 5 === 2) kept.push({ seed, bytes: reader.slice(length).next(length) })
      else if (seed % 5 === 3) kept.push({ seed, bytes: reader.peek(length) })
      writer.writeUint(length, 4)
    })
    for (let round = 0; round < 60; round += 1) {
      const messages = Array.from({ length: 7 }, (_, index) => pattern(700 + index, round * 7 + index + 1))
      void peer.write(frames(...messages))
      await peer.read(7 * 8)
    }
    t.is(kept.length, 4 * 84)
    for (const { seed: of, bytes } of kept) t.true(bytes.equals(pattern(700 + ((of - 1) % 7), of)), `${of}`)
  })

  test(`later replies keep their order, and maxInFlight counts them: ${words(place)}`, async (t) => {
    const held: { readonly text: string; readonly later: LaterReply }[] = []
    let handled = 0
    const { peer } = await line(
      t,
      place,
      (reader, writer) => {
        handled += 1
        const text = reader.readString(reader.length)
        if (text.startsWith('later')) held.push({ text, later: writer.later() })
        else writer.writeString(text)
      },
      { maxInFlight: 4 },
    )
    void peer.write(frames('later1', 'now1', 'later2', 'now2', 'later3', 'now3'))
    await until(() => handled === 4)
    for (let turn = 0; turn < 10; turn += 1) await nextTurn()
    t.is(handled, 4)
    const [one, two] = held
    two?.later.write((writer) => void writer.writeString(two.text))
    t.true(two?.later.isGiven)
    t.false(one?.later.isGiven)
    one?.later.send(one.text)
    const before = frames('later1', 'now1', 'later2', 'now2')
    t.deepEqual(await peer.read(before.length), before)
    await until(() => held.length === 3)
    const own = Buffer.from('later3')
    held[2]?.later.send(own)
    own.fill(0)
    const after = frames('later3', 'now3')
    t.deepEqual(await peer.read(after.length), after)
  })

  test(`a handler that throws costs its connection, once what was before it is answered: ${words(place)}`, async (t) => {
    const reached: string[] = []
    const { peer, errors, connection } = await line(t, place, (reader, writer) => {
      const text = reader.readString(reader.length)
      reached.push(text)
      writer.writeString(text)
      if (text === 'bad') throw new Error('thrown')
    })
    void peer.write(frames('a', 'bad', 'c'))
    t.deepEqual(await peer.read(5), frame('a'))
    t.is(((await errors.take()) as Error).message, 'thrown')
    await new Promise<void>((resolve) => void connection.onClose(resolve))
    t.deepEqual(reached, ['a', 'bad'])
  })

  test(`handlers may close, end or destroy their connection: ${words(place)}`, async (t) => {
    for (const how of ['close', 'end', 'destroy', 'detach'] as const) {
      const closed = deferred()
      const { peer } = await line(t, place, (reader, writer, connection) => {
        connection.onClose(closed.resolve)
        if (how !== 'detach') writer.writeFrom(reader)
        if (how === 'detach') thrown(() => connection.detach())
        else connection[how]()
        if (how === 'detach') connection.destroy()
      })
      void peer.write(frame('last'))
      if (how === 'close' || how === 'end') t.deepEqual(await peer.read(8), frame('last'), how)
      if (how === 'end') (peer as Partial<Peer>).end?.()
      if (how === 'end' && place.side === 'dialed') continue
      await closed.promise
    }
    t.pass()
  })
}

test('a reader and a writer expire with their handler', async (t) => {
  let reader: MessageReader | undefined
  let writer: MessageWriter | undefined
  const { peer } = await line(t, first, (own, to) => {
    reader = own
    writer = to
    to.writeFrom(own)
  })
  await peer.write(frame('x'))
  await peer.read(5)
  const uses: Record<string, () => unknown> = {
    length: () => reader?.length,
    bytes: () => reader?.bytes,
    start: () => reader?.start,
    end: () => reader?.end,
    next: () => reader?.next(0),
    peek: () => reader?.peek(0),
    skip: () => reader?.skip(0),
    until: () => reader?.until('a'),
    indexOf: () => reader?.indexOf('a'),
    readString: () => reader?.readString(0),
    readBinary: () => reader?.readBinary(0),
    readByte: () => reader?.readByte(),
    readUint: () => reader?.readUint(4),
    peekUint: () => reader?.peekUint(4),
    slice: () => reader?.slice(0),
    mallocLength: () => writer?.mallocLength,
    outgoing: () => writer?.bytes,
    reserve: () => writer?.reserve(0),
    malloc: () => writer?.malloc(0),
    mallocAck: () => writer?.mallocAck(0),
    writeString: () => writer?.writeString(''),
    writeBinary: () => writer?.writeBinary(Buffer.alloc(0)),
    writeFrom: () => writer?.writeFrom(reader as MessageReader),
    writeByte: () => writer?.writeByte(1),
    writeUint: () => writer?.writeUint(1, 4),
    later: () => writer?.later(),
  }
  for (const [name, use] of Object.entries(uses)) t.is(thrown(use), 'ERR_CURSOR_EXPIRED', name)
})

test('what is not there is refused, and nothing is consumed', async (t) => {
  const codes: unknown[] = []
  const { peer } = await line(t, first, (reader, writer) => {
    for (const length of [6, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1' as never]) {
      codes.push(
        thrown(() => reader.next(length)),
        thrown(() => reader.skip(length)),
        thrown(() => reader.readString(length)),
        thrown(() => writer.writeFrom(reader, length)),
      )
    }
    for (const size of [0, 7, 1.5, Number.NaN]) {
      codes.push(
        thrown(() => reader.readUint(size as never)),
        thrown(() => reader.peekUint(size as never)),
      )
    }
    codes.push(
      thrown(() => reader.readUint(6)),
      thrown(() => reader.peekUint(2, 4)),
      thrown(() => writer.reserve(-1)),
      thrown(() => writer.mallocAck(1)),
      thrown(() => writer.writeByte(256)),
      thrown(() => writer.writeUint(256, 1)),
    )
    t.is(reader.length, 5)
    t.is(reader.indexOf('llo'), 2)
    t.is(reader.until('l').toString(), 'hel')
    t.is(
      thrown(() => reader.until('x')),
      'ERR_NOT_ENOUGH_DATA',
    )
    writer.writeFrom(reader)
    t.is(
      thrown(() => reader.readByte()),
      'ERR_NOT_ENOUGH_DATA',
    )
  })
  await peer.write(frame('hello'))
  t.deepEqual(await peer.read(6), frame('lo'))
  t.deepEqual([...new Set(codes)], ['ERR_NOT_ENOUGH_DATA', 'ERR_INVALID_ARG_VALUE', 'ERR_INVALID_ARG_TYPE'])
})

test('any write begins a reply, also one of nothing, and none is none', async (t) => {
  const { peer } = await line(t, first, (reader, writer) => {
    const text = reader.readString(reader.length)
    if (text === 'empty') writer.writeString('')
    if (text === 'malloc') writer.malloc(0)
    if (text === 'dropped') {
      writer.writeString('gone')
      writer.mallocAck(0)
    }
    if (text === 'end') writer.writeString(text)
  })
  await peer.write(frames('none', 'empty', 'malloc', 'dropped', 'end'))
  t.deepEqual(await peer.read(4 * 3 + 7), frames('', '', '', 'end'))
})

for (const [name, of] of Object.entries({
  lengthField: lengthField({ size: 4 }),
  whole: lengthField({ size: 4, strip: 0 }),
  varint: varint(),
  delimiter: delimiter('\n'),
})) {
  test(`replies of every length and shape, framed by ${name}`, async (t) => {
    const sizes = [0, 1, 126, 127, 128, 2040, 2048, 2049, 5000, 20_000, 140_000, 300_000, 1_000_000]
    const { peer } = await line(
      t,
      first,
      (reader, writer, connection) => {
        const text = reader.readString(reader.length).slice(name === 'whole' ? 4 : 0)
        const [size = 0, shape = 0] = text.split(',').map(Number)
        const bytes = pattern(size)
        if (name === 'delimiter') for (let at = 0; at < size; at += 1) if (bytes[at] === 10) bytes[at] = 11
        if (name === 'whole') writer.writeUint(size, 4)
        if (shape === 0) {
          writer.writeBinary(bytes)
        } else if (shape === 1) {
          // In pieces, between which others take memory.
          const start = writer.mallocLength
          for (let at = 0; at < size; at += 977) {
            writer.writeBinary(bytes.subarray(at, at + 977))
            if (at % 3 === 0) connection.allocate(10)
          }
          writer.writeString('to be dropped')
          writer.mallocAck(start + size)
          if (size === 0) writer.writeString('')
        } else {
          const at = writer.reserve(size + 100)
          bytes.copy(writer.bytes, at)
          writer.mallocAck(writer.mallocLength - 100)
        }
      },
      { framing: of },
    )
    for (const size of sizes) {
      for (const shape of [0, 1, 2]) {
        const ask = `${size},${shape}`
        const bytes = pattern(size)
        if (name === 'delimiter') {
          for (let at = 0; at < size; at += 1) if (bytes[at] === 10) bytes[at] = 11
          void peer.write(Buffer.from(`${ask}\n`))
          t.true((await peer.read(size + 1)).equals(Buffer.concat([bytes, Buffer.from('\n')])), ask)
        } else if (name === 'varint') {
          void peer.write(Buffer.concat([Buffer.of(ask.length), Buffer.from(ask)]))
          const header: number[] = []
          for (let rest = size; ; rest >>>= 7) {
            header.push(rest >= 128 ? (rest & 127) | 128 : rest)
            if (rest < 128) break
          }
          t.true(
            (await peer.read(header.length + size)).equals(Buffer.concat([Buffer.from(header), bytes])),
            ask,
          )
        } else {
          void peer.write(frame(ask))
          t.true((await peer.read(4 + size)).equals(frame(bytes)), ask)
        }
      }
    }
  })
}

for (const place of places) {
  test(`replies of one turn leave as they were written, with gaps and others between: ${words(place)}`, async (t) => {
    const expected: string[] = []
    const { peer } = await line(t, place, (reader, writer, connection) => {
      const text = reader.readString(reader.length)
      const kind = Number(text) % 7
      if (kind === 0) connection.allocate(10)
      if (kind === 1) return
      if (kind === 2) {
        void connection.send(`sent ${text}`)
        expected.push(`sent ${text}`)
      }
      if (kind === 3) {
        writer.later().send(`later ${text}`)
        expected.push(`later ${text}`)
        return
      }
      writer.writeString(text)
      expected.push(text)
    })
    // What is sent in between stands where it was sent.
    const texts = Array.from({ length: 500 }, (_, index) => String(index))
    void peer.write(frames(...texts))
    const count = texts.filter((text) => Number(text) % 7 !== 1).length
    const sends = texts.filter((text) => Number(text) % 7 === 2).length
    let bytes = Buffer.alloc(0)
    const got: string[] = []
    while (got.length < count + sends) {
      bytes = Buffer.concat([bytes, await peer.read(4)])
      got.push(String(await peer.read(bytes.readUInt32BE(bytes.length - 4))))
    }
    t.deepEqual(got, expected)
  })
}

test('received bytes may be named in a reply, from where they lie', async (t) => {
  const { peer } = await line(t, first, (reader, writer) => {
    const view = reader.next(reader.length)
    writer.writeString('before:')
    writer.writeBinary(view)
    writer.writeString(':after')
  })
  for (const size of [10, 4095, 4096, 200_000]) {
    const bytes = pattern(size)
    void peer.write(frame(bytes))
    const expected = frame(Buffer.concat([Buffer.from('before:'), bytes, Buffer.from(':after')]))
    t.true((await peer.read(expected.length)).equals(expected), `${size}`)
  }
})

for (const form of ['Buffer', 'Uint8Array'] as const) {
  test(`of received bytes in a reply the first ones may be kept, also where it has to wait: a ${form}`, async (t) => {
    const held = new Inbox<LaterReply>()
    const { peer, errors } = await line(t, first, (reader, writer) => {
      if (reader.length < 10) {
        held.push(writer.later())
        return
      }
      const view = reader.next(reader.length)
      writer.writeString('before:')
      writer.writeBinary(
        form === 'Buffer' ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
      )
      writer.writeString(':after')
      writer.mallocAck(107)
      writer.writeString('')
    })
    const bytes = pattern(9000, 5)
    const expected = frame(Buffer.concat([Buffer.from('before:'), bytes.subarray(0, 100)]))
    await peer.write(frame(bytes))
    t.deepEqual(await peer.read(expected.length), expected)
    await peer.write(Buffer.concat([frames('hold'), frame(bytes), frames('hold')]))
    const [later, last] = [
      await held.take(),
      await Promise.race([held.take(), errors.take()]),
    ] as LaterReply[]
    later?.send('held')
    last?.send('last')
    const all = Buffer.concat([frame('held'), expected, frame('last')])
    t.deepEqual(await peer.read(all.length), all)
  })
}

test('a later reply that is no payload fails its request, also where others come before it', async (t) => {
  for (const message of [
    42,
    [new Date()],
    new Proxy([], {
      get: () => {
        throw new Error('as asked')
      },
    }),
  ]) {
    const held: LaterReply[] = []
    const { peer, errors } = await line(t, first, (_, writer) => void held.push(writer.later()))
    await peer.write(frames('a', 'b', 'c'))
    await until(() => held.length === 3)
    held[1]?.send(message as never)
    t.true(held[1]?.isGiven)
    held[2]?.send('third')
    held[0]?.send('first')
    t.deepEqual(await peer.read(9), frame('first'))
    t.is(codeOf(await errors.take()), 'ERR_INVALID_REPLY')
  }
})

test.serial(
  'a reply that waits costs its connection alone where there is no memory to copy it',
  async (t) => {
    const length = 54_321
    const { allocUnsafeSlow } = Buffer
    t.teardown(() => {
      Buffer.allocUnsafeSlow = allocUnsafeSlow
    })
    const held = new Inbox<LaterReply>()
    const { peer, errors } = await line(t, first, (reader, writer) => {
      if (reader.readString(reader.length) === 'hold') held.push(writer.later())
      else writer.writeString('x'.repeat(length))
    })
    Buffer.allocUnsafeSlow = (size) => {
      if (size !== length) return allocUnsafeSlow(size)
      Buffer.allocUnsafeSlow = allocUnsafeSlow
      throw new RangeError('Array buffer allocation failed')
    }
    await peer.write(frames('hold', 'large', 'hold'))
    const later = await held.take()
    await until(() => Buffer.allocUnsafeSlow === allocUnsafeSlow)
    later.send('first')
    t.deepEqual(await peer.read(9), frame('first'))
    t.is(codeOf(await errors.take()), 'ENOMEM')
    await t.throwsAsync(() => peer.read(1))
  },
)

test('a later reply is given once, and belongs to its holder', async (t) => {
  const held: LaterReply[] = []
  const { peer, connection } = await line(t, first, (reader, writer) => {
    writer.writeString('dropped')
    held.push(writer.later())
    t.is(
      thrown(() => writer.later()),
      'ERR_ALREADY_REPLIED',
    )
    t.is(
      thrown(() => writer.writeString('x')),
      'ERR_ALREADY_REPLIED',
    )
    if (reader.readString(reader.length) === 'at once') held.at(-1)?.send('at once')
  })
  await peer.write(frames('at once', 'b', 'c', 'd'))
  t.deepEqual(await peer.read(11), frame('at once'))
  await until(() => held.length === 4)
  const [early, one, two, three] = held as [LaterReply, LaterReply, LaterReply, LaterReply]
  t.true(early.isGiven)
  for (const give of [() => early.send('x'), () => early.fail(new Error('x')), () => early.write(() => {})])
    t.is(thrown(give), 'ERR_ALREADY_REPLIED')
  // What throws gives no reply.
  t.throws(
    () =>
      one.write(() => {
        throw new Error('half')
      }),
    { message: 'half' },
  )
  t.is(
    thrown(() => one.write(async () => {})),
    'ERR_INVALID_ARG_VALUE',
  )
  let writer: MessageWriter | undefined
  one.write((to) => {
    writer = to
    to.writeString('b')
    t.is(
      thrown(() => to.later()),
      'ERR_ALREADY_REPLIED',
    )
  })
  t.is(
    thrown(() => writer?.writeString('late')),
    'ERR_CURSOR_EXPIRED',
  )
  t.is(
    thrown(() => one.send('twice')),
    'ERR_ALREADY_REPLIED',
  )
  two.send()
  t.deepEqual(await peer.read(5), frame('b'))
  connection.destroy()
  await new Promise<void>((resolve) => void connection.onClose(resolve))
  three.write((to) => void to.writeString('nobody'))
  t.is(
    thrown(() => three.send('twice')),
    'ERR_ALREADY_REPLIED',
  )
})

test('a later reply may fail, which costs the connection', async (t) => {
  const held = new Inbox<LaterReply>()
  const { peer, errors } = await line(t, first, (_reader, writer) => held.push(writer.later()))
  await peer.write(frames('a', 'b'))
  const one = await held.take()
  const two = await held.take()
  two.fail(new Error('two'))
  one.send('one')
  t.deepEqual(await peer.read(7), frame('one'))
  t.is(((await errors.take()) as Error).message, 'two')
})

test('a handler that has thrown takes its later reply with it', async (t) => {
  const held: LaterReply[] = []
  for (const ordered of [true, false]) {
    const { peer, errors } = await line(
      t,
      first,
      (reader, writer) => {
        const later = writer.later()
        held.push(later)
        if (reader.readString(1) === 'g') later.send('given')
        throw new Error('thrown')
      },
      { ordered },
    )
    await peer.write(frame('x'))
    t.is(((await errors.take()) as Error).message, 'thrown')
    t.is(
      thrown(() => held.at(-1)?.send('late')),
      'ERR_ALREADY_REPLIED',
    )
    const other = await line(
      t,
      first,
      (_reader, writer) => {
        writer.later().send('given')
        throw new Error('thrown')
      },
      { ordered },
    )
    await other.peer.write(frame('g'))
    t.deepEqual(await other.peer.read(9), frame('given'))
    t.is(((await other.errors.take()) as Error).message, 'thrown')
  }
})

test('without order later replies leave as they are given', async (t) => {
  const held: LaterReply[] = []
  const { peer } = await line(
    t,
    first,
    (reader, writer) => {
      if (reader.readString(reader.length) === 'now') writer.writeString('now')
      else held.push(writer.later())
    },
    { ordered: false },
  )
  await peer.write(frames('later', 'later', 'now'))
  t.deepEqual(await peer.read(7), frame('now'))
  held[1]?.write((writer) => void writer.writeString('two'))
  held[0]?.send('one')
  t.deepEqual(await peer.read(14), frames('two', 'one'))
})

test('a reply that its framing cannot say costs the connection', async (t) => {
  const { peer, errors } = await line(
    t,
    first,
    (reader, writer) => {
      if (reader.readString(1) === 'a') writer.writeBinary(pattern(200))
      else writer.writeBinary(pattern(300))
    },
    { framing: lengthField({ size: 1 }) },
  )
  await peer.write(Buffer.of(1, 97, 1, 98))
  t.is((await peer.read(201))[0], 200)
  t.is(codeOf(await errors.take()), 'ERR_FRAME_TOO_LARGE')
})

test('a promise is refused, and what is given beside onMessage', async (t) => {
  const { peer, errors } = await line(t, first, (() => Promise.reject(new Error('of the promise'))) as never)
  await peer.write(frame('x'))
  t.is(codeOf(await errors.take()), 'ERR_INVALID_ARG_VALUE')
  const onMessage = echo
  for (const options of [
    { framing, onMessage: async () => {} },
    { framing, onMessage: 1 },
    { framing, onMessage: null },
    { framing, onMessage, onRequest: () => {} },
    { onMessage },
    { framing, onMessage, workers: { module: import.meta.url } },
  ]) {
    t.regex(String(thrown(() => createServer(options as never))), /^ERR_INVALID_ARG/)
    t.regex(String(thrown(() => new Dialer(options as never))), /^ERR_INVALID_ARG/)
  }
  t.regex(String(thrown(() => createServer({ framing, onMessage } as never, () => {}))), /^ERR_INVALID_ARG/)
})

test('a handler that is set on a connection comes before it, and loops take messages', async (t) => {
  const { peer, connection } = await line(t, first, echo)
  await peer.write(frame('a'))
  t.deepEqual(await peer.read(5), frame('a'))
  connection.onRequest = (request) => `set:${request}`
  await peer.write(frame('b'))
  t.deepEqual(await peer.read(9), frame('set:b'))
  connection.onRequest = undefined
  await peer.write(frame('c'))
  t.deepEqual(await peer.read(5), frame('c'))
  const messages = connection[Symbol.asyncIterator]()
  const next = messages.next()
  await peer.write(frames('d', 'e'))
  t.is((await next).value?.toString(), 'd')
  await messages.return(undefined)
  t.deepEqual(await peer.read(5), frame('e'))
})

test('calls of ours find their replies, and what else comes goes to the handler', async (t) => {
  const id = { offset: 0, size: 4 } as const
  const message = (number: number, text: string) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(number)
    return Buffer.concat([bytes, Buffer.from(text)])
  }
  for (const place of [first, places.find(({ side }) => side === 'dialed') as Place]) {
    const { peer, connection } = await line(t, place, echo, { id })
    const reply = connection.call(message(7, 'ours'))
    t.deepEqual(await peer.read(12), frame(message(7, 'ours')))
    await peer.write(frames(message(9, 'asked'), message(7, 'done')))
    t.deepEqual(await peer.read(13), frame(message(9, 'asked')))
    t.deepEqual(await reply, message(7, 'done'))
    await peer.write(frame(message(9, 'again')))
    t.deepEqual(await peer.read(13), frame(message(9, 'again')))
  }
})

test.serial('subscribers of netpoll.request get a view, which stays', async (t) => {
  const { channel } = await import('node:diagnostics_channel')
  const requests: Buffer[] = []
  const listener = (message: unknown) => {
    requests.push((message as { readonly request: Buffer }).request)
  }
  channel('netpoll.request').subscribe(listener)
  t.teardown(() => channel('netpoll.request').unsubscribe(listener))
  const { peer } = await line(t, first, echo)
  for (let round = 0; round < 5; round += 1) {
    void peer.write(frame(`request ${round}`))
    await peer.read(13)
  }
  t.true(requests.map(String).join().includes('request 0,request 1,request 2,request 3,request 4'))
})

test('a codec may decode and encode by itself', async (t) => {
  const { peer } = await line(t, first, (reader, writer) => {
    // A codec that decodes by itself.
    const { bytes, start, end } = reader
    let sum = 0
    for (let at = start; at < end; at += 1) sum += bytes[at] as number
    reader.skip(end - start)
    t.is(reader.length, 0)
    const at = writer.reserve(4)
    writer.bytes.writeUInt32BE(sum, at)
  })
  const messages = [pattern(10), pattern(1000), pattern(70_000)]
  void peer.write(frames(...messages))
  const replies = unframe(await peer.read(3 * 8)).map((reply) => reply.readUInt32BE(0))
  t.deepEqual(
    replies,
    messages.map((message) => message.reduce((sum, byte) => sum + byte, 0)),
  )
})
