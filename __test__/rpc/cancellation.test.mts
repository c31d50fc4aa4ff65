import test, { type ExecutionContext } from 'ava'

import { type DialTarget, type MessageReader, NetpollError, type Writer } from '../../dist/index.mjs'
import {
  type CancelMessage,
  type Codec,
  type Message,
  TransportClient,
  type TransportClientOptions,
  TransportServer,
  type TransportServerOptions,
} from '../../dist/rpc/index.mjs'
import { deferred, Inbox, nextTurn, until } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { JsonCodec, type Json } from '../support/json-codec.mjs'
import { netServerAt, placeOf } from '../support/listeners.mjs'
import { codeOf, connectPeer, rejection } from '../support/netpoll.mjs'
import { type JsonCall, portOfCalls } from '../support/rpc.mjs'

/** As `JsonCodec`, with a message that cancels a call. */
class CancellingCodec implements Codec<Json> {
  readonly #codec = new JsonCodec()
  readonly framing = this.#codec.framing
  readonly id = this.#codec.id
  readonly cancels: number[] = []

  encode(message: Message<Json>, writer: Writer): void {
    this.#codec.encode(message, writer)
  }

  decode(bytes: Buffer): Message<Json> | CancelMessage {
    return this.#codec.decode(bytes)
  }

  encodeCancel({ kind, id }: CancelMessage, writer: Writer): void {
    this.cancels.push(id)
    writer.writeUint(id, 4)
    writer.writeString(JSON.stringify({ kind }))
  }
}

/** As `CancellingCodec`, whose requests a server reads by cursor. */
class CancellingCursorCodec extends CancellingCodec {
  readonly read: number[] = []

  decodeFrom(reader: MessageReader): Message<Json> | CancelMessage {
    this.read.push(reader.length)
    return this.decode(reader.next(reader.length))
  }
}

interface Place {
  readonly transport: 'tcp' | 'unix'
  readonly pollers: number
  readonly kind: 'mux' | 'pool'
  readonly codec: typeof CancellingCodec
}

const places: readonly Place[] = [CancellingCodec, CancellingCursorCodec].flatMap((codec) => [
  { transport: 'tcp', pollers: 0, kind: 'mux', codec },
  { transport: 'unix', pollers: 0, kind: 'pool', codec },
  { transport: 'tcp', pollers: 1, kind: 'pool', codec },
  { transport: 'unix', pollers: 2, kind: 'mux', codec },
])

/** A server whose method `hang` waits for its signal, and what it knows of its calls. */
async function hanging(
  t: ExecutionContext,
  { transport, pollers, codec: ServerCodec }: Pick<Place, 'transport' | 'pollers' | 'codec'>,
  options: TransportServerOptions<Json> = {},
  codec: Codec<Json> = new ServerCodec(),
) {
  const begun = new Inbox<JsonCall>()
  const aborted = new Inbox<{ readonly id: number; readonly reason: unknown }>()
  const errors = new Inbox<unknown>()
  const server = new TransportServer<Json>(
    codec,
    {
      onRequest: async (call) => {
        if (call.method !== 'hang') return call.body
        const { signal, request } = call
        const { promise, resolve } = deferred()
        signal.addEventListener('abort', () => {
          aborted.push({ id: request.id, reason: signal.reason })
          resolve()
        })
        begun.push(call)
        await promise
        return 'aborted'
      },
      onError: errors.push,
    },
    { pollers, ...options },
  )
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen(placeOf(t, transport))
  const address = server.address()
  const target: DialTarget =
    typeof address === 'string' ? { path: address } : { host: '127.0.0.1', port: portOfCalls(server) }
  return { server, target, begun, aborted, errors }
}

function clientAt(
  t: ExecutionContext,
  target: DialTarget,
  options: TransportClientOptions<Json> = {},
  codec: Codec<Json> = new CancellingCodec(),
): TransportClient<Json> {
  const client = new TransportClient<Json>(target, codec, options)
  t.teardown(() => client.close({ timeout: 0 }))
  return client
}

const [inline] = places as readonly [Place]
const inlines = places.filter(({ transport, pollers }) => transport === 'tcp' && pollers === 0)

for (const place of places) {
  const { kind, pollers } = place
  const where = `${place.transport}, ${pollers} pollers, ${kind}, ${place.codec.name}`

  test(`a call that is aborted aborts the signal of its handler, and its connection goes on (${where})`, async (t) => {
    const { server, target, begun, aborted } = await hanging(t, place)
    const codec = new CancellingCodec()
    const client = clientAt(
      t,
      target,
      { kind, pollers, connections: 1 } as TransportClientOptions<Json>,
      codec,
    )
    for (let round = 1; round <= 3; round += 1) {
      const controller = new AbortController()
      const call = client.call('hang', null, { signal: controller.signal })
      const { request } = await begun.take()
      t.is(server.stats().cancellation.watched, 1)
      const reason = new Error('no longer needed')
      controller.abort(reason)
      t.is(await rejection(call), reason)
      const { id, reason: told } = await aborted.take()
      t.is(id, request.id)
      t.true(told instanceof NetpollError)
      t.is(codeOf(told), 'ERR_REQUEST_ABORTED')
      t.deepEqual(server.stats().cancellation, { watched: 0, cancelled: round })
      t.is(await client.call('echo', round), round)
    }
    t.is(server.stats().accepted, 1)
    t.is(codec.cancels.length, 3)
  })

  test(`a call whose time is over cancels, too, where the server does not know its deadline (${where})`, async (t) => {
    const forgetful = new CancellingCodec()
    const { encode } = forgetful
    forgetful.encode = (message, writer) =>
      encode.call(forgetful, { ...message, timeout: 0 } as Message<Json>, writer)
    const { target, aborted, begun } = await hanging(t, place)
    const client = clientAt(t, target, { kind, pollers } as TransportClientOptions<Json>, forgetful)
    t.is(await client.call('echo', 1), 1)
    // On a machine that stalls, the time may be over before the request has left.
    while (begun.all.length === 0) {
      const error = await rejection(client.call('hang', null, { timeout: 200 }))
      t.is(codeOf(error), 'ERR_REQUEST_TIMEOUT')
    }
    t.is((await begun.take()).deadline, Number.POSITIVE_INFINITY)
    t.is(codeOf((await aborted.take()).reason), 'ERR_REQUEST_ABORTED')
  })
}

for (const place of inlines) {
  test(`of many calls at once each abort reaches its own handler (${place.codec.name})`, async (t) => {
    const { server, target, begun, aborted } = await hanging(t, place)
    const client = clientAt(t, target, { connections: 2 })
    const controllers = Array.from({ length: 300 }, () => new AbortController())
    const calls = controllers.map(({ signal }, index) => rejection(client.call('hang', index, { signal })))
    await begun.reach(300)
    t.is(server.stats().cancellation.watched, 300)
    const odd = begun.all.filter(({ body }) => Number(body) % 2 === 1).map(({ request }) => request.id)
    controllers.forEach((controller, index) => void (index % 2 === 1 && controller.abort()))
    await aborted.reach(150)
    t.deepEqual(aborted.all.map(({ id }) => id).sort(), odd.sort())
    t.is(server.stats().cancellation.watched, 150)
    for (const controller of controllers) controller.abort()
    await aborted.reach(300)
    t.is((await Promise.all(calls)).length, 300)
    await until(() => client.stats().running === 0)
    t.deepEqual(server.stats().cancellation, { watched: 0, cancelled: 300 })
  })
}

for (const place of inlines) {
  test(`a handler that asks for its signal after the cancel finds it aborted (${place.codec.name})`, async (t) => {
    const codec = new place.codec()
    const asked = deferred()
    const begun = new Inbox<JsonCall>()
    const found = new Inbox<boolean>()
    const server = new TransportServer<Json>(codec, {
      onRequest: async (call) => {
        begun.push(call)
        await asked.promise
        found.push(call.signal.aborted)
        return null
      },
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const client = clientAt(t, { host: '127.0.0.1', port: portOfCalls(server) })
    const controller = new AbortController()
    const call = rejection(client.call('x', null, { signal: controller.signal }))
    await begun.take()
    controller.abort()
    await call
    await until(() => server.stats().cancellation.cancelled === 1)
    asked.resolve()
    t.true(await found.take())
  })
}

for (const place of inlines) {
  test(`a cancel that crosses the reply, or comes twice, or names no call, changes nothing (${place.codec.name})`, async (t) => {
    const { server, target, begun, aborted } = await hanging(t, place)
    const peer = await connectPeer(t, target as { readonly port: number })
    const message = (id: number, content: object): Buffer => {
      const head = Buffer.alloc(4)
      head.writeUInt32BE(id)
      return frame(Buffer.concat([head, Buffer.from(JSON.stringify(content))]))
    }
    const cancel = (id: number): Buffer => message(id, { kind: 'cancel' })
    const call = (id: number, method: string): Buffer =>
      message(id, { kind: 'call', method, metadata: {}, timeout: 0, body: id })
    // Before its call, behind its reply, and of ids that never were.
    peer.write(Buffer.concat([cancel(1), call(1, 'echo')]))
    await until(() => server.stats().requests === 2 && server.stats().cancellation.watched === 0)
    peer.write(Buffer.concat([cancel(1), cancel(4_294_967_295), cancel(0)]))
    peer.write(Buffer.concat([call(1, 'hang'), cancel(1), cancel(1)]))
    t.is((await aborted.take()).id, 1)
    // One id twice: the last of them is cancelled, once.
    peer.write(Buffer.concat([call(2, 'hang'), call(2, 'hang')]))
    await begun.reach(3)
    t.is(server.stats().cancellation.watched, 1)
    peer.write(Buffer.concat([cancel(2), cancel(2)]))
    await aborted.take()
    await nextTurn()
    t.is(aborted.all.length, 2)
    t.deepEqual(server.stats().cancellation, { watched: 0, cancelled: 2 })
    peer.destroy()
    await aborted.reach(3)
    t.is(codeOf(aborted.all[2]?.reason), 'ERR_CONN_CLOSED')
  })
}

for (const place of inlines) {
  test(`a flood of cancels leaves nothing, and a connection that ends leaves no call (${place.codec.name})`, async (t) => {
    const { server, target, begun, aborted } = await hanging(t, place, { maxInFlight: 8 })
    const peer = await connectPeer(t, target as { readonly port: number })
    const body = Buffer.concat([Buffer.from([0, 0, 0, 0]), Buffer.from('{"kind":"cancel"}')])
    const flood = Array.from({ length: 20_000 }, (_, id) => {
      const own = Buffer.from(body)
      own.writeUInt32BE(id)
      return frame(own)
    })
    const call = frame(
      Buffer.concat([Buffer.from([0, 1, 0, 0]), Buffer.from('{"kind":"call","method":"hang","timeout":0}')]),
    )
    peer.write(Buffer.concat([...flood, call]))
    await begun.take()
    t.deepEqual(server.stats().cancellation, { watched: 1, cancelled: 0 })
    t.is(server.stats().connections, 1)
    peer.destroy()
    await aborted.take()
    t.deepEqual(server.stats().cancellation, { watched: 0, cancelled: 0 })
  })
}

const broken: readonly (readonly [string, (message: CancelMessage, writer: Writer) => unknown])[] = [
  [
    'throws',
    () => {
      throw new Error('no cancel today')
    },
  ],
  [
    'throws after it has written',
    (_message, writer) => {
      writer.writeString('half of it')
      throw new Error('no cancel today')
    },
  ],
  ['is asynchronous', async () => {}],
]
for (const [title, encodeCancel] of broken) {
  test(`an encodeCancel that ${title} is told, and costs nothing else`, async (t) => {
    const { target, begun } = await hanging(t, inline)
    const codec = new CancellingCodec()
    codec.encodeCancel = encodeCancel as CancellingCodec['encodeCancel']
    const errors = new Inbox<unknown>()
    const client = clientAt(t, target, { connections: 1, onError: errors.push }, codec)
    const controller = new AbortController()
    const call = rejection(client.call('hang', null, { signal: controller.signal }))
    await begun.take()
    const reason = new Error('enough')
    controller.abort(reason)
    t.is(await call, reason)
    t.true((await errors.take()) instanceof Error)
    t.is(await client.call('echo', 'still there'), 'still there')
    t.is(client.stats().connected, 1)
  })
}

test('an encodeCancel that writes nothing sends nothing', async (t) => {
  const { server, target, begun } = await hanging(t, inline)
  const codec = new CancellingCodec()
  codec.encodeCancel = () => {}
  const client = clientAt(t, target, { connections: 1 }, codec)
  const controller = new AbortController()
  const call = rejection(client.call('hang', null, { signal: controller.signal }))
  await begun.take()
  controller.abort()
  await call
  t.is(await client.call('echo', 1), 1)
  t.is(server.stats().requests, 2)
})

test('what a call that was never sent gives up sends nothing, and encodeCancel may end the client', async (t) => {
  const { server, target, begun } = await hanging(t, inline)
  const codec = new CancellingCodec()
  const client = clientAt(t, target, { connections: 1 }, codec)
  const early = new AbortController()
  const unsent = rejection(client.call('hang', null, { signal: early.signal }))
  early.abort()
  await unsent
  t.deepEqual(codec.cancels, [])
  const controller = new AbortController()
  const call = rejection(client.call('hang', null, { signal: controller.signal }))
  await begun.take()
  let closed: Promise<void> | undefined
  codec.encodeCancel = () => {
    closed = client.close({ timeout: 0 })
  }
  controller.abort()
  await call
  await closed
  await until(() => server.stats().connections === 0)
  t.pass()
})

test('a codec that gives up a call while it encodes another mixes up neither', async (t) => {
  const { target, begun, aborted } = await hanging(t, inline)
  const codec = new CancellingCodec()
  const controller = new AbortController()
  const client = clientAt(t, target, { connections: 1 }, codec)
  const call = rejection(client.call('hang', null, { signal: controller.signal }))
  await begun.take()
  const { encode } = codec
  codec.encode = (message, writer) => {
    writer.writeUint(message.id, 4)
    controller.abort()
    const rest = { ...message, id: undefined }
    writer.writeString(JSON.stringify(rest))
  }
  t.is(await client.call('echo', 'whole'), 'whole')
  codec.encode = encode
  await call
  await aborted.take()
  t.is(await client.call('echo', 'again'), 'again')
})

test('behind what a peer does not read no cancel is queued', async (t) => {
  const codec = new CancellingCodec()
  const { target } = await netServerAt(t, 'tcp', { pauseOnConnect: true })
  const client = clientAt(t, target as DialTarget, { connections: 1 }, codec)
  const controllers = Array.from({ length: 300 }, () => new AbortController())
  const calls = controllers.map(({ signal }) => rejection(client.call('x', 'x'.repeat(90_000), { signal })))
  await until(() => client.stats().running === 300)
  for (const controller of controllers) controller.abort()
  t.is((await Promise.all(calls)).length, 300)
  t.deepEqual(codec.cancels, [])
})

test('a codec whose cancel cannot be is refused, and so is a cancel of another protocol', async (t) => {
  const target = { host: '127.0.0.1', port: 1 }
  const withoutId = { ...plain(new CancellingCodec()), id: undefined }
  t.throws(() => new TransportClient(target, withoutId), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => new TransportServer(withoutId, { onRequest: () => null }), { code: 'ERR_INVALID_ARG_VALUE' })
  for (const encodeCancel of [null, 1, 'x', {}]) {
    const codec = { ...plain(new CancellingCodec()), encodeCancel } as never
    t.throws(() => new TransportClient(target, codec), { code: 'ERR_INVALID_ARG_TYPE' })
    t.throws(() => new TransportServer(codec, { onRequest: () => null }), { code: 'ERR_INVALID_ARG_TYPE' })
  }
  const { target: other, errors } = await hanging(t, inline, {}, new JsonCodec())
  const peer = await connectPeer(t, other as { readonly port: number })
  peer.write(frame(Buffer.concat([Buffer.from([0, 0, 0, 1]), Buffer.from('{"kind":"cancel"}')])))
  t.is(codeOf(await errors.take()), 'ERR_RPC_INVALID_MESSAGE')
})

/** The members of a codec, as those of an object. */
function plain(codec: CancellingCodec): Codec<Json> {
  const { framing, id } = codec
  return {
    framing,
    id,
    encode: (message, writer) => codec.encode(message, writer),
    decode: (bytes) => codec.decode(bytes),
    encodeCancel: (message, writer) => codec.encodeCancel(message, writer),
  }
}
