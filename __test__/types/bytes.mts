// What a message is goes with the option `bytes`. Compiled, never run.

import {
  type Connection,
  createServer,
  Dialer,
  type DialerOptions,
  lengthField,
  Mux,
  Pool,
  type RequestHandler,
  type ServerOptions,
  type WorkerHandler,
} from '../../dist/index.mjs'

const framing = lengthField({ size: 4 })
const address = { host: '127.0.0.1', port: 1 }

/** Fails to compile unless both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const same = <A, B>(_: Same<A, B>): void => {}

// A Buffer, where nothing is said.
createServer({ framing }, (request) => {
  same<typeof request, Buffer>(true)
  // @ts-expect-error: so this test can fail
  same<typeof request, Uint8Array>(true)
})
createServer({ framing, bytes: 'buffer', onRequest: (request) => request.readUInt8(0).toString() })
createServer({ framing }, (request: Uint8Array) => request)
const plain = async (request: Uint8Array): Promise<Uint8Array> => request
createServer({ framing, onRequest: plain })

// A Uint8Array, where that is asked for: of handlers, hooks, ids, iteration and calls.
createServer({ framing, bytes: 'uint8array' }, (request, connection) => {
  same<typeof request, Uint8Array>(true)
  same<typeof connection, Connection<unknown, 'uint8array'>>(true)
  // @ts-expect-error: a method of Buffer
  return request.readUInt8(0).toString()
})
createServer({
  framing,
  bytes: 'uint8array',
  id: (message) => {
    same<typeof message, Uint8Array>(true)
    return message[0]
  },
  onConnect: async (connection) => {
    for await (const message of connection) same<typeof message, Uint8Array>(true)
  },
  onRequest: (request) => {
    same<typeof request, Uint8Array>(true)
    return request
  },
})
// @ts-expect-error: it gets no Buffer
createServer({ framing, bytes: 'uint8array' }, (request: Buffer) => request)
// @ts-expect-error: it gets no Buffer
new Dialer({ framing, bytes: 'uint8array', onRequest: (request: Buffer) => request })
// @ts-expect-error: neither of both
createServer({ framing, bytes: 'string' })

async function called(): Promise<void> {
  const buffers = await new Dialer({ framing }).dial(address)
  same<typeof buffers, Connection>(true)
  const reply = await buffers.call('request')
  same<typeof reply, Buffer>(true)
  const dialer = new Dialer({ framing, bytes: 'uint8array' })
  const views = await dialer.dial(address)
  const view = await views.call('request')
  same<typeof view, Uint8Array>(true)
  for await (const message of views) same<typeof message, Uint8Array>(true)
  views.onRequest = (request) => {
    same<typeof request, Uint8Array>(true)
  }
  // @ts-expect-error: it gets no Buffer
  views.onRequest = (_request: Buffer) => {}
  // @ts-expect-error: whoever takes this may ask for Buffers
  const wrong: Connection = views
  void wrong

  const pool = new Pool(address, { framing, bytes: 'uint8array', connections: 2 })
  const pooled = await pool.call('request')
  same<typeof pooled, Uint8Array>(true)
  const lent = await pool.get()
  same<typeof lent, Connection<unknown, 'uint8array'>>(true)
  pool.put(lent)
  const shared = await new Mux(address, { framing, bytes: 'uint8array' }).call('request')
  same<typeof shared, Uint8Array>(true)
}
void called

// With a type of `connection.data` it has to be said, too.
interface Session {
  readonly user: string
}
createServer<Session, 'uint8array'>({ framing, bytes: 'uint8array' }, (request, { data }) => {
  same<typeof request, Uint8Array>(true)
  return data.user
})
// @ts-expect-error: Buffers, as nothing else is said
createServer<Session>({ framing, bytes: 'uint8array' })

// It may be known only at run time, and options and handlers may be put together before they are used.
declare const either: 'buffer' | 'uint8array'
createServer({ framing, bytes: either }, (request) => {
  same<typeof request, Buffer | Uint8Array>(true)
})
const handler: RequestHandler<unknown, 'uint8array'> = (request) => request.subarray(1)
const server: ServerOptions<unknown, 'uint8array'> = { framing, bytes: 'uint8array', onRequest: handler }
const dialer: DialerOptions<Session, 'uint8array'> = { framing, bytes: 'uint8array' }
createServer(server)
new Dialer(dialer) satisfies Dialer<Session, 'uint8array'>

// Of worker threads, whose module is compiled apart from the server.
const worker: WorkerHandler<'uint8array'> = (request) => {
  same<typeof request, Uint8Array>(true)
  return request
}
void worker
