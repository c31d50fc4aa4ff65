import test, { type ExecutionContext } from 'ava'

import {
  type Framing,
  lengthField,
  type MessageReader,
  type MessageWriter,
  type Writer,
} from '../../dist/index.mjs'
import {
  type Codec,
  type Message,
  RpcError,
  TransportClient,
  TransportServer,
  type TransportHandler,
  type TransportServerOptions,
} from '../../dist/rpc/index.mjs'
import { deferred, Inbox, nextTurn } from '../support/deferred.mjs'
import { pattern } from '../support/frames.mjs'
import { placeOf } from '../support/listeners.mjs'
import { rejection } from '../support/netpoll.mjs'

/** A body that is read when it is asked for, if it was kept by then. */
class Body {
  bytes: Buffer | undefined
  #reader: MessageReader | undefined

  static from(reader: MessageReader): Body {
    const body = new Body()
    body.#reader = reader
    return body
  }

  static of(bytes: Uint8Array): Body {
    const body = new Body()
    body.bytes = Buffer.from(bytes)
    return body
  }

  read(): Buffer {
    this.bytes ??= this.#reader?.readBinary(this.#reader.length)
    return this.bytes as Buffer
  }

  keep(): void {
    this.bytes ??= this.#reader?.next(this.#reader.length)
  }
}

const kinds = ['call', 'oneway', 'reply', 'error'] as const

/** Kind, id, length of the method, method, body; of an error its text. */
class CursorCodec implements Codec<Uint8Array, Body> {
  readonly framing: Framing = lengthField({ size: 4 })
  readonly id = { offset: 1, size: 4 } as const
  readonly seen: string[] = []

  encode(message: Message<Uint8Array>, writer: Writer): void {
    this.#encode(message, writer)
  }

  decode(bytes: Buffer): Message<Body> {
    this.seen.push('decode')
    const method = bytes.toString('utf8', 6, 6 + (bytes[5] as number))
    const rest = bytes.subarray(6 + (bytes[5] as number))
    const head = { id: bytes.readUInt32BE(1), method, metadata: {} }
    const kind = kinds[bytes[0] as number] as (typeof kinds)[number]
    if (kind === 'error') return { kind, ...head, error: new RpcError('ERR_TEST', rest.toString()) }
    return { kind, ...head, timeout: 0, body: Body.of(rest) } as Message<Body>
  }

  #encode(message: Message<Uint8Array>, writer: Writer | MessageWriter): void {
    writer.writeByte(kinds.indexOf(message.kind))
    writer.writeUint(message.id, 4)
    writer.writeByte(message.method.length)
    writer.writeString(message.method)
    if (message.kind === 'error') writer.writeString((message.error as Error).message)
    else if (message.body.length === 1 && message.body[0] === 0xff) throw new Error('half written')
    else writer.writeBinary(message.body)
  }

  decodeFrom(reader: MessageReader): Message<Body> {
    this.seen.push('decodeFrom')
    const kind = kinds[reader.readByte()] as 'call' | 'oneway'
    const id = reader.readUint(4)
    const method = reader.readString(reader.readByte())
    if (method === 'invalid') throw new Error('no message')
    return { kind, id, method, metadata: {}, timeout: 0, body: Body.from(reader) }
  }

  keep(message: Message<Body>): void {
    if (message.kind !== 'error') message.body.keep()
  }

  encodeTo(message: Message<Uint8Array>, writer: MessageWriter): void {
    this.seen.push('encodeTo')
    this.#encode(message, writer)
  }
}

async function pair(
  t: ExecutionContext,
  onRequest: TransportHandler<Uint8Array, Body>['onRequest'],
  {
    codec = new CursorCodec(),
    transport = 'tcp',
    ...options
  }: TransportServerOptions<Uint8Array, Body> & {
    readonly codec?: Codec<Uint8Array, Body>
    readonly transport?: 'tcp' | 'unix'
  } = {},
) {
  const errors = new Inbox<unknown>()
  const server = new TransportServer(codec, { onRequest, onError: (error) => errors.push(error) }, options)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const address = server.address()
  const target =
    typeof address === 'string'
      ? { path: address }
      : { host: '127.0.0.1', port: (address as { port: number }).port }
  const client = new TransportClient(target, new CursorCodec())
  t.teardown(() => client.close({ timeout: 0 }))
  return { client, errors, codec: codec as CursorCodec }
}

for (const pollers of [0, 1, 2]) {
  for (const transport of ['tcp', 'unix'] as const) {
    test(`a codec reads and writes by cursor: ${pollers} pollers, ${transport}`, async (t) => {
      const kept: { readonly seed: number; readonly body: Body }[] = []
      const { client, codec } = await pair(
        t,
        ({ method, body }) => {
          const seed = Number(method.slice(4))
          // Read at once, later, or never.
          if (method.startsWith('sync')) return body.read()
          kept.push({ seed, body })
          return nextTurn().then(() => body.read())
        },
        { pollers, transport },
      )
      for (let round = 0; round < 20; round += 1) {
        const calls = Array.from({ length: 20 }, async (_, index) => {
          const seed = round * 20 + index + 1
          const method = `${index % 2 === 0 ? 'sync' : 'late'}${seed}`
          const reply = await client.call(method, pattern(500 + seed, seed))
          return reply.bytes?.equals(pattern(500 + seed, seed))
        })
        t.deepEqual(await Promise.all(calls), Array(20).fill(true))
      }
      for (const { seed, body } of kept) t.true(body.bytes?.equals(pattern(500 + seed, seed)), `${seed}`)
      t.deepEqual([...new Set(codec.seen)], ['decodeFrom', 'encodeTo'])
    })
  }
}

test('what a handler or a codec throws is the reply, and only that', async (t) => {
  const { client } = await pair(t, ({ method }) => {
    if (method === 'throws') throw new Error('thrown')
    if (method === 'rejects') return nextTurn().then(() => Promise.reject(new Error('rejected')))
    if (method === 'late') return nextTurn().then(() => Buffer.of(0xff))
    return Buffer.of(0xff)
  })
  for (const [method, message] of [
    ['throws', 'thrown'],
    ['rejects', 'rejected'],
    ['now', 'half written'],
    ['late', 'half written'],
  ] as const) {
    t.is(((await rejection(client.call(method, Buffer.of(1)))) as Error).message, message, method)
  }
})

test('a one-way call has no answer, and its error is reported', async (t) => {
  const done = new Inbox<string>()
  const { client, errors } = await pair(t, ({ method }) => {
    done.push(method)
    if (method === 'bad') throw new Error('of one-way')
    return method === 'late' ? nextTurn().then(() => Buffer.of(1)) : Buffer.of(1)
  })
  await client.send('now', Buffer.of(1))
  await client.send('late', Buffer.of(1))
  await client.send('bad', Buffer.of(1))
  t.is(((await errors.take()) as Error).message, 'of one-way')
  t.deepEqual(done.all, ['now', 'late', 'bad'])
  t.deepEqual((await client.call('now', Buffer.of(1))).bytes, Buffer.of(1))
})

test('what is no message costs its connection', async (t) => {
  const { client, errors } = await pair(t, ({ body }) => body.read())
  t.is(((await rejection(client.call('invalid', Buffer.of(1)))) as { code: string }).code, 'ERR_CONN_CLOSED')
  t.is(((await errors.take()) as Error).message, 'no message')
})

test('middleware that waits finds the body all the same', async (t) => {
  const gate = deferred()
  const { client } = await pair(t, ({ body }) => body.read(), {
    middleware: [
      (next) => async (call) => {
        await gate.promise
        return await next(call)
      },
    ],
  })
  const calls = [1, 2, 3].map((seed) => client.call('sync', pattern(900, seed)))
  await nextTurn()
  gate.resolve()
  const replies = await Promise.all(calls)
  for (const [index, { bytes }] of replies.entries()) t.true(bytes?.equals(pattern(900, index + 1)))
})

test('without encodeTo replies are encoded as ever, and members that are no functions are refused', async (t) => {
  const codec = new CursorCodec()
  Object.assign(codec, { encodeTo: undefined })
  const { client } = await pair(t, ({ body }) => body.read(), { codec })
  t.true((await client.call('sync', pattern(5000))).bytes?.equals(pattern(5000)))
  for (const name of ['decodeFrom', 'keep', 'encodeTo']) {
    const wrong = Object.assign(new CursorCodec(), { [name]: 1 }) as Codec<Uint8Array, Body>
    t.throws(() => new TransportServer(wrong, { onRequest: () => Buffer.of(1) }), {
      code: 'ERR_INVALID_ARG_TYPE',
    })
  }
})
