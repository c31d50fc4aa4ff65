import test, { type ExecutionContext } from 'ava'

import { type CallOptions, type Connection, Dialer, Mux, NetpollError, Pool } from '../../dist/index.mjs'
import { TransportClient } from '../../dist/rpc/index.mjs'
import { Inbox, nextTurn } from '../support/deferred.mjs'
import { JsonCodec } from '../support/json-codec.mjs'
import { freePort, fullListener, netServer } from '../support/listeners.mjs'
import { codeOf, dial, framing, rejection, serve } from '../support/netpoll.mjs'

const id = { offset: 0, size: 4 } as const

function numbered(number: number, length = 4): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUInt32BE(number)
  return bytes
}

const sentOf = (error: unknown): unknown => (error as { readonly sent?: unknown }).sent

/** What several calls reject with: errors of their own, with one code. */
async function failures(
  t: ExecutionContext,
  calls: readonly Promise<unknown>[],
): Promise<readonly NetpollError[]> {
  const errors = (await Promise.all(calls.map(rejection))) as readonly NetpollError[]
  t.is(new Set(errors).size, errors.length, 'each has an error of its own')
  t.is(new Set(errors.map(codeOf)).size, 1)
  for (const error of errors) {
    t.true(error instanceof NetpollError)
    t.true(error instanceof Error)
    t.regex(String(error.stack), /NetpollError|Error/)
  }
  return errors
}

interface Side {
  readonly connection: Connection
  /** Ends the other side at once. */
  reset(): void
  /** Waits until the other side has got so many bytes. */
  received(bytes: number): Promise<void>
}

/** A connection that calls, to a peer that reads only when it is told to. */
const sides: Readonly<Record<string, (t: ExecutionContext, pollers: number) => Promise<Side>>> = {
  'in order': async (t, pollers) => sideOf(t, { pollers }),
  'by ids': async (t, pollers) => sideOf(t, { pollers, id }),
  'of a server': async (t, pollers) => {
    const accepted = new Inbox<Connection>()
    const { port } = await serve(t, {
      pollers,
      id,
      onConnect: accepted.push,
      onRequest: () => {},
      onError: () => {},
    })
    const peer = await dial(t, { port }, { id, onRequest: () => {}, onError: () => {} })
    peer.pause()
    return {
      connection: await accepted.take(),
      reset: () => peer.resetAndDestroy(),
      received: async (bytes) => {
        peer.resume()
        while (peer.bytesRead < bytes) await nextTurn()
      },
    }
  },
}

async function sideOf(t: ExecutionContext, options: object): Promise<Side> {
  const { port, sockets } = await netServer(t)
  const connection = await dial(t, { host: '127.0.0.1', port }, { onError: () => {}, ...options })
  const socket = await sockets.take()
  socket.pause()
  return {
    connection,
    reset: () => socket.resetAndDestroy(),
    received: async (bytes) => {
      socket.resume()
      while (socket.bytesRead < bytes) await nextTurn()
    },
  }
}

for (const [how, open] of Object.entries(sides)) {
  for (const pollers of [0, 1]) {
    const name = `${how}, ${pollers} pollers`

    test(`a peer’s reset after the requests have left: ${name}`, async (t) => {
      const { connection, reset, received } = await open(t, pollers)
      const calls = [1, 2, 3].map((number) => connection.call(numbered(number)))
      await received(24)
      reset()
      for (const error of await failures(t, calls)) t.true(sentOf(error))
    })

    test(`destroyed in the turn of the calls: ${name}`, async (t) => {
      const { connection } = await open(t, pollers)
      const calls = [1, 2, 3].map((number) => connection.call(numbered(number)))
      connection.destroy(new Error('why'))
      const errors = await failures(t, calls)
      for (const error of errors) {
        t.false(sentOf(error))
        t.is(String(error.cause), 'Error: why')
      }
    })

    test(`destroyed while some requests wait for a peer that does not read: ${name}`, async (t) => {
      const { connection } = await open(t, pollers)
      const first = connection.call(numbered(1, 30_000_000))
      const behind = [2, 3].map((number) => connection.call(numbered(number)))
      while (connection.bytesWritten === 0) await nextTurn()
      connection.destroy()
      t.true(sentOf(await rejection(first)))
      for (const error of await failures(t, behind)) t.false(sentOf(error))
    })

    test(`closed while the requests are with the peer: ${name}`, async (t) => {
      const { connection, received, reset } = await open(t, pollers)
      const calls = [1, 2].map((number) => connection.call(numbered(number)))
      await received(16)
      void connection.close()
      reset()
      for (const error of await failures(t, calls)) t.true(sentOf(error))
    })

    test(`a connection that is closed already: ${name}`, async (t) => {
      const { connection } = await open(t, pollers)
      connection.destroy()
      const calls = [1, 2].map((number) => connection.call(numbered(number)))
      for (const error of await failures(t, calls)) t.false(sentOf(error))
      await new Promise<void>((resolve) => void connection.onClose(resolve))
      const later = [1, 2].map((number) => connection.call(numbered(number)))
      for (const error of await failures(t, later)) t.false(sentOf(error))
    })

    test(`a peer that has gone before the calls: ${name}`, async (t) => {
      const { connection, reset } = await open(t, pollers)
      reset()
      while (connection.isActive) await nextTurn()
      const calls = [1, 2].map((number) => connection.call(numbered(number)))
      for (const error of await Promise.all(calls.map(rejection))) t.false(sentOf(error), String(error))
    })

    test(`timeouts of what was sent: ${name}`, async (t) => {
      const { connection } = await open(t, pollers)
      const calls = [1, 2].map((number) => connection.call(numbered(number), { timeout: 10 }))
      for (const error of await failures(t, calls)) t.true(sentOf(error))
    })

    test(`an aborted call keeps its reason, whatever that is: ${name}`, async (t) => {
      const { connection } = await open(t, pollers)
      const reasons = ['why', 7, null, Symbol('s'), Object.freeze({}), new NetpollError('MINE', 'mine')]
      for (const [index, reason] of reasons.entries()) {
        const controller = new AbortController()
        const call = connection.call(numbered(index), { signal: controller.signal })
        await nextTurn()
        controller.abort(reason)
        const error = await rejection(call)
        t.is(error, reason)
        if (typeof error === 'object' && error !== null) t.false('sent' in error)
        t.is(await rejection(connection.call(numbered(100), { signal: controller.signal })), reason)
      }
    })
  }
}

interface Caller {
  call(request: Buffer, options?: CallOptions): Promise<unknown>
  close(options: { readonly timeout: number }): Promise<void>
}

const callers: Readonly<Record<string, (target: { host: string; port: number }, options: object) => Caller>> =
  {
    mux: (target, options) => new Mux(target, { framing, onError: () => {}, connections: 1, ...options }),
    pool: (target, options) => new Pool(target, { framing, onError: () => {}, connections: 2, ...options }),
    rpc: (target, options) => {
      const client = new TransportClient(target, new JsonCodec(), {
        onError: () => {},
        connections: 1,
        ...options,
      })
      return {
        call: (_request, callOptions) => client.call('x', null, callOptions),
        close: (closeOptions) => client.close(closeOptions),
      }
    },
  }

for (const [name, open] of Object.entries(callers)) {
  const opened = (
    t: ExecutionContext,
    target: { host: string; port: number },
    options: object = {},
  ): Caller => {
    const caller = open(target, options)
    t.teardown(() => caller.close({ timeout: 0 }))
    return caller
  }
  const two = (caller: Caller, options?: CallOptions): readonly Promise<unknown>[] =>
    [1, 2].map((number) => caller.call(numbered(number), options))

  test(`${name}: a dial that fails`, async (t) => {
    const caller = opened(t, { host: '127.0.0.1', port: await freePort() })
    for (const error of await failures(t, two(caller))) {
      t.false(sentOf(error))
      t.is(codeOf(error), 'ECONNREFUSED')
      t.is(error.syscall, 'connect')
    }
  })

  test(`${name}: a lookup that fails`, async (t) => {
    const thrown = Object.assign(new RangeError('no such name'), { code: 'ENOTFOUND', hostname: 'a.name' })
    const lookup = (_name: string, _options: object, callback: (error: Error) => void): void =>
      callback(thrown)
    const caller = opened(t, { host: 'a.name', port: 1 }, { lookup })
    const errors = (await Promise.all(two(caller).map(rejection))) as readonly (RangeError & {
      hostname: string
    })[]
    t.is(new Set([thrown, ...errors]).size, 3)
    for (const error of errors) {
      t.true(error instanceof RangeError)
      t.is(error.message, 'no such name')
      t.is(error.hostname, 'a.name')
      t.is(codeOf(error), 'ENOTFOUND')
      t.false(sentOf(error))
    }
    t.false('sent' in thrown)
  })

  test(`${name}: time that is over before there is a connection`, async (t) => {
    const { port } = await fullListener(t)
    const caller = opened(t, { host: '127.0.0.1', port })
    for (const error of await failures(t, two(caller, { timeout: 20 }))) t.false(sentOf(error))
    for (const error of await failures(t, two(caller, { deadline: 0 }))) t.false(sentOf(error))
  })

  test(`${name}: closed, before the calls and while they wait`, async (t) => {
    const { port } = await fullListener(t)
    const caller = opened(t, { host: '127.0.0.1', port })
    const waiting = two(caller)
    void caller.close({ timeout: 1 })
    for (const error of await failures(t, waiting)) t.false(sentOf(error))
    for (const error of await failures(t, two(caller))) t.false(sentOf(error))
  })

  test(`${name}: a server that gets requests and goes`, async (t) => {
    const { port, sockets } = await netServer(t)
    const caller = opened(t, { host: '127.0.0.1', port })
    const calls = two(caller)
    for (const index of name === 'pool' ? [0, 1] : [0]) {
      const socket = (await sockets.reach(index + 1))[index]
      await new Promise((resolve) => socket?.once('data', resolve))
      socket?.resetAndDestroy()
    }
    for (const error of await failures(t, calls)) t.true(sentOf(error))
  })
}

test('what a user’s function throws is what its call rejects with', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const thrown = new Error('mine')
  const client = await new Dialer({
    framing,
    id: () => {
      throw thrown
    },
  }).dial({ host: '127.0.0.1', port })
  t.is(await rejection(client.call('x')), thrown)
  t.false('sent' in thrown)
  await client.close()
})

test('calls that the connection refuses were not sent', async (t) => {
  const { connection } = await sideOf(t, { id })
  void connection.call(numbered(1)).catch(() => {})
  t.false(sentOf(await rejection(connection.call(numbered(1)))))
  t.false(sentOf(await rejection(connection.call('a'))))
  const wrong = await rejection(connection.call(7 as never))
  t.true(wrong instanceof TypeError)
  const { port } = await serve(t, {
    onRequest: (_request, from) => from.call('x').catch((error) => `${error.sent}`),
  })
  const client = await dial(t, { port })
  t.is(String(await client.call('x')), 'false')
})
