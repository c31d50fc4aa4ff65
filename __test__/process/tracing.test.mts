import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  type CursorHandler,
  Dialer,
  type DialTarget,
  type MessageReader,
  Mux,
  Pool,
} from '../../dist/index.mjs'
import { type ClientCall, type ServerCall, TransportClient, TransportServer } from '../../dist/rpc/index.mjs'
import { Inbox, until } from '../support/deferred.mjs'
import { JsonCodec, type Json } from '../support/json-codec.mjs'
import { placeOf } from '../support/listeners.mjs'
import { echo, framing, rejection, targetOf } from '../support/netpoll.mjs'
import { portOfCalls } from '../support/rpc.mjs'
import { socketPath } from '../support/system.mjs'
import { fullValue, plain, serveThrift, thriftClient, ways } from '../support/thrift.mjs'

interface Told {
  readonly client?: unknown
  readonly connection?: unknown
  readonly request?: Buffer | string
  readonly call?: ClientCall | ServerCall
  readonly result?: unknown
  readonly error?: unknown
}

type Event = readonly ['start' | 'end' | 'asyncStart' | 'asyncEnd' | 'error', Told]

/** What a tracing channel tells until the end of the test: the tests of this file run one after the other. */
function watch(t: ExecutionContext, name: string): Inbox<Event> {
  const events = new Inbox<Event>()
  const channel = tracingChannel<string, object>(name)
  const on = (kind: Event[0]) => (told: unknown) => events.push([kind, told as Told])
  const listeners = {
    start: on('start'),
    end: on('end'),
    asyncStart: on('asyncStart'),
    asyncEnd: on('asyncEnd'),
    error: on('error'),
  }
  channel.subscribe(listeners)
  t.teardown(() => channel.unsubscribe(listeners))
  return events
}

const kinds = (events: Inbox<Event>): string => events.all.map(([kind]) => kind).join(' ')

for (const pollers of [0, 1]) {
  test.serial(
    `calls of connections, pools and muxes are told with their client (${pollers} pollers)`,
    async (t) => {
      const { target } = await echo(t, { pollers })
      const connection = await new Dialer({ framing, pollers }).dial(target)
      const pool = new Pool(target, { framing, pollers })
      const mux = new Mux(target, { framing, pollers })
      t.teardown(() =>
        Promise.all([pool.close({ timeout: 0 }), mux.close({ timeout: 0 }), connection.close()]),
      )
      for (const client of [connection, pool, mux]) {
        const events = watch(t, 'netpoll.call')
        t.is(String(await client.call('x')), 'x')
        t.is(kinds(events), 'start end asyncStart asyncEnd')
        const told = events.all[0]?.[1]
        t.true(events.all.every(([, other]) => other === told))
        t.is(told?.client, client)
        t.is(told?.request, 'x')
        t.is(String(told?.result), 'x')
      }
      const failed = watch(t, 'netpoll.call')
      const error = await rejection(mux.call('y', { signal: AbortSignal.abort(new Error('no')) }))
      t.is(kinds(failed), 'start end error asyncStart asyncEnd')
      t.is(failed.all[2]?.[1].error, error)
    },
  )
}

for (const transport of ['tcp', 'unix'] as const) {
  test.serial(`requests are told with their end, however the handler answers (${transport})`, async (t) => {
    const thrown = new Error('no answer')
    const answers: Record<string, () => string | Promise<string>> = {
      now: () => 'now!',
      later: async () => 'later!',
      rejects: async () => Promise.reject(thrown),
      throws: () => {
        throw thrown
      },
    }
    const server = createServer({ framing, onError: () => {} }, (request) => answers[String(request)]?.())
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen(placeOf(t, transport))
    const expected = {
      now: ['start end', 'now!', undefined],
      later: ['start end asyncStart asyncEnd', 'later!', undefined],
      rejects: ['start end error asyncStart asyncEnd', undefined, thrown],
      throws: ['start error end', undefined, thrown],
    } as const
    for (const [name, [told, result, error]] of Object.entries(expected)) {
      const mux = new Mux(targetOf(server), { framing, connections: 1, onError: () => {} })
      const events = watch(t, 'netpoll.request')
      const reply = error === undefined ? String(await mux.call(name)) : await rejection(mux.call(name))
      if (result !== undefined) t.is(reply, result)
      t.is(kinds(events), told, name)
      t.is(String(events.all[0]?.[1].request), name)
      t.is(events.all[0]?.[1].result, result)
      t.is(events.all[0]?.[1].error, error)
      t.truthy(events.all[0]?.[1].connection)
      await mux.close({ timeout: 0 })
    }
  })
}

for (const pollers of [0, 1, 2]) {
  for (const transport of ['tcp', 'unix'] as const) {
    test.serial(
      `requests handled by cursor are told, as served and as dialed (${pollers} pollers, ${transport})`,
      async (t) => {
        const thrown = new Error('no answer')
        const storage = new AsyncLocalStorage<string>()
        const channel = tracingChannel<string, Told>('netpoll.request')
        channel.start.bindStore(storage, ({ request }) => `span of ${request}`)
        t.teardown(() => channel.start.unbindStore(storage))
        const onMessage: CursorHandler = (reader, writer) => {
          const text = reader.readString(reader.length)
          if (text === 'throws') throw thrown
          if (text === 'later') writer.later().send(`later: ${storage.getStore()}`)
          else writer.writeString(`${text}: ${storage.getStore()}`)
        }
        for (const side of ['served', 'dialed']) {
          const replies = new Inbox<string>()
          const peer = {
            onRequest: (reply: Buffer): void => {
              replies.push(String(reply))
            },
          }
          const ends = { framing, pollers, onError: () => {} }
          const accepted = new Inbox<Connection>()
          const connected = { onConnect: accepted.push }
          const server = createServer({
            ...ends,
            ...connected,
            ...(side === 'served' ? { onMessage } : peer),
          })
          t.teardown(() => server.close({ timeout: 0 }))
          await server.listen(placeOf(t, transport))
          const dialer = new Dialer({ ...ends, ...(side === 'served' ? peer : { onMessage }) })
          const dialed = await dialer.dial(targetOf(server))
          const other = await accepted.take()
          const [caller, handler] = side === 'served' ? [dialed, other] : [other, dialed]
          const all = watch(t, 'netpoll.request').all
          const events = () => all.filter(([, { connection }]) => connection === handler)
          const told = () =>
            events()
              .map(([kind]) => kind)
              .join(' ')
          for (const text of ['now', 'later', 'again']) {
            void caller.send(text)
            t.is(await replies.take(), `${text}: span of ${text}`)
          }
          t.is(told(), 'start end start end start end')
          t.is(events()[0]?.[1], events()[1]?.[1])
          void caller.send('throws')
          await until(() => events().length === 9)
          t.is(told(), 'start end start end start end start error end')
          t.is(events().at(-1)?.[1].error, thrown)
          // What subscribers keep stays what it was.
          const kept = events().map(([, { request }]) => String(request))
          t.deepEqual(kept, ['now', 'now', 'later', 'later', 'again', 'again', 'throws', 'throws', 'throws'])
        }
      },
    )
  }
}

for (const form of ['default', 'onMessage'] as const) {
  for (const [threads, pollers, transport] of [
    [1, 0, 'tcp'],
    [2, 1, 'unix'],
    [3, 2, 'tcp'],
  ] as const) {
    test.serial(
      `a worker tells of its requests in its thread: ${form}, ${threads} workers, ${pollers} pollers`,
      async (t) => {
        const module = join(dirname(socketPath(t)), 'traced.mjs')
        const handler = {
          default: `export default async (request) => {
          if (String(request) === 'told') return JSON.stringify(told)
          if (String(request) === 'throws') throw new Error('as asked')
          return request + ': ' + storage.getStore()
        }`,
          onMessage: `export const onMessage = (reader, writer) => {
          const text = reader.readString(reader.length)
          if (text === 'throws') throw new Error('as asked')
          if (text === 'later') writer.later().send(text + ': ' + storage.getStore())
          else writer.writeString(text === 'told' ? JSON.stringify(told) : text + ': ' + storage.getStore())
        }`,
        }[form]
        writeFileSync(
          module,
          `import { AsyncLocalStorage } from 'node:async_hooks'
        import { tracingChannel } from 'node:diagnostics_channel'
        const storage = new AsyncLocalStorage()
        const told = []
        const channel = tracingChannel('netpoll.request')
        channel.start.bindStore(storage, ({ request }) => 'span of ' + request)
        const on = (kind) => (message) => {
          told.push([kind, String(message.request)])
        }
        channel.subscribe({ start: on('start'), end: on('end'), asyncStart: on('asyncStart'), asyncEnd: on('asyncEnd'), error: on('error') })
        ${handler}`,
        )
        const inMain = watch(t, 'netpoll.request')
        const server = createServer({
          framing,
          pollers,
          onError: () => {},
          workers: { module: pathToFileURL(module), threads, concurrentTasksPerWorker: 8 },
        })
        t.teardown(() => server.close({ timeout: 0 }))
        await server.listen(placeOf(t, transport))
        const mux = new Mux(targetOf(server), { framing, connections: 1, onError: () => {} })
        t.teardown(() => mux.close({ timeout: 0 }))
        for (const text of ['now', 'later']) t.is(String(await mux.call(text)), `${text}: span of ${text}`)
        if (threads === 1) {
          await rejection(mux.call('throws'))
          const told = JSON.parse(String(await mux.call('told'))) as readonly (readonly [string, string])[]
          const of = (text: string) =>
            told
              .filter(([, request]) => request === text)
              .map(([kind]) => kind)
              .join(' ')
          const whole = form === 'default' ? 'start end asyncStart asyncEnd' : 'start end'
          t.is(of('now'), whole)
          t.is(of('later'), whole)
          t.is(of('throws'), form === 'default' ? 'start end error asyncStart asyncEnd' : 'start error end')
          t.is(of('told'), 'start')
        }
        t.is(kinds(inMain), '')
      },
    )
  }
}

test.serial(
  'a handler sees the store that is bound to the start of its request, and no other does',
  async (t) => {
    const storage = new AsyncLocalStorage<string>()
    const channel = tracingChannel<string, Told>('netpoll.request')
    channel.start.bindStore(storage, ({ request }) => `span of ${request}`)
    t.teardown(() => channel.start.unbindStore(storage))
    const { target } = await echo(t, {}, async (request) => {
      await Promise.resolve()
      return `${request}: ${storage.getStore()}`
    })
    const mux = new Mux(target as DialTarget, { framing, connections: 1 })
    t.teardown(() => mux.close({ timeout: 0 }))
    const replies = await Promise.all(['a', 'b', 'c'].map((text) => mux.call(text)))
    t.deepEqual(replies.map(String), ['a: span of a', 'b: span of b', 'c: span of c'])
    t.is(storage.getStore(), undefined)
  },
)

test.serial(
  'an RPC call is told at both ends, and metadata carries a trace from one to the other',
  async (t) => {
    const spans = new Inbox<string | undefined>()
    const atClient = watch(t, 'netpoll.rpc.call')
    const atServer = watch(t, 'netpoll.rpc.request')
    const client = tracingChannel<string, { readonly call: ClientCall }>('netpoll.rpc.call')
    const inject = ({ call }: { readonly call: ClientCall }): void => {
      call.metadata = { ...call.metadata, traceparent: '00-1-2-01' }
    }
    client.start.subscribe(inject as never)
    t.teardown(() => client.start.unsubscribe(inject as never))
    const server = new TransportServer<Json>(new JsonCodec(), {
      onRequest: (call) => {
        spans.push(call.metadata['traceparent'])
        if (call.method === 'fail') throw new Error('as asked')
        return call.body
      },
      onError: () => {},
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const rpc = new TransportClient<Json>({ host: '127.0.0.1', port: portOfCalls(server) }, new JsonCodec())
    t.teardown(() => rpc.close({ timeout: 0 }))
    t.is(await rpc.call('echo', 1), 1)
    t.is(await spans.take(), '00-1-2-01')
    t.is(kinds(atClient), 'start end asyncStart asyncEnd')
    t.is(kinds(atServer), 'start end')
    t.is(atClient.all[0]?.[1].call?.method, 'echo')
    t.is(atServer.all[0]?.[1].call?.method, 'echo')
    t.is(atServer.all[0]?.[1].result, 1)
    await rejection(rpc.call('fail', 1))
    t.is(kinds(atServer), 'start end start error end')
    t.is(kinds(atClient), 'start end asyncStart asyncEnd start end error asyncStart asyncEnd')
  },
)

/** As `JsonCodec`, whose requests a server reads by cursor. */
class JsonCursorCodec extends JsonCodec {
  decodeFrom(reader: MessageReader) {
    return this.decode(reader.next(reader.length))
  }
}

for (const pollers of [0, 1, 2]) {
  test.serial(`a server whose codec reads by cursor tells of its calls (${pollers} pollers)`, async (t) => {
    const storage = new AsyncLocalStorage<string>()
    const channel = tracingChannel<string, { readonly call: ServerCall }>('netpoll.rpc.request')
    channel.start.bindStore(storage, ({ call }) => `span of ${call.method}`)
    t.teardown(() => channel.start.unbindStore(storage))
    const thrown = new Error('as asked')
    const handled = new Inbox<string>()
    const server = new TransportServer<Json>(
      new JsonCursorCodec(),
      {
        onRequest: ({ method }): Json | Promise<Json> => {
          handled.push(method)
          if (method === 'throws') throw thrown
          if (method === 'rejects') return Promise.reject(thrown)
          if (method === 'later') return Promise.resolve().then(() => `${storage.getStore()}`)
          return `${storage.getStore()}`
        },
        onError: () => {},
      },
      { pollers },
    )
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const target = { host: '127.0.0.1', port: portOfCalls(server) }
    const client = new TransportClient<Json>(target, new JsonCodec())
    t.teardown(() => client.close({ timeout: 0 }))
    for (const [method, told, succeeds] of [
      ['now', 'start end', true],
      ['later', 'start end asyncStart asyncEnd', true],
      ['throws', 'start error end', false],
      ['rejects', 'start end error asyncStart asyncEnd', false],
    ] as const) {
      const events = watch(t, 'netpoll.rpc.request')
      if (succeeds) t.is(await client.call(method, null), `span of ${method}`)
      else await rejection(client.call(method, null))
      t.is(kinds(events), told, method)
      t.is(events.all[0]?.[1].call?.method, method)
      t.is(events.all.at(-1)?.[1].error, succeeds ? undefined : thrown)
      t.is(events.all.at(-1)?.[1].result, succeeds ? `span of ${method}` : undefined)
    }
    const events = watch(t, 'netpoll.rpc.request')
    await client.send('oneway', null)
    await until(() => events.all.length === 2)
    t.is(kinds(events), 'start end')
  })
}

for (const { transport, protocol } of ways) {
  test.serial(`a thrift server tells of its calls: ${transport} ${protocol}`, async (t) => {
    const thrown = new Error('as asked')
    let isFailing = false
    const { port } = await serveThrift(t, {
      echo: (value) => {
        if (isFailing) throw thrown
        return value
      },
    })
    const { service } = thriftClient(t, port, { transport, protocol })
    const events = watch(t, 'netpoll.rpc.request')
    t.deepEqual(plain(await service.echo(fullValue())), plain(fullValue()))
    t.is(events.all[0]?.[1].call?.method, 'echo')
    t.regex(kinds(events), /^start end( asyncStart asyncEnd)?$/)
    const before = events.all.length
    isFailing = true
    await rejection(service.echo(fullValue()))
    t.true(events.all.length > before)
    t.like(events.all.at(-1)?.[1].error, { message: thrown.message })
  })
}

test.serial('what is subscribed to one event alone is told, and nothing once it has left', async (t) => {
  const { target } = await echo(t)
  const mux = new Mux(target, { framing })
  t.teardown(() => mux.close({ timeout: 0 }))
  for (const name of ['start', 'end', 'asyncStart', 'asyncEnd'] as const) {
    let count = 0
    const channel = tracingChannel<string, object>('netpoll.call')
    const listener = (): void => {
      count += 1
    }
    channel[name].subscribe(listener)
    await mux.call('x')
    channel[name].unsubscribe(listener)
    await mux.call('x')
    t.is(count, 1, name)
  }
})
