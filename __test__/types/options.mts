// What the types of options allow and refuse. Compiled, never run: each `@ts-expect-error` must find its error.

import {
  type Connection,
  type CursorHandler,
  createServer,
  Dialer,
  type DialerOptions,
  type Framing,
  lengthField,
  Mux,
  Pool,
  type ServerOptions,
  type WorkerHandler,
} from '../../dist/index.mjs'

const framing = lengthField({ size: 4 })
const address = { host: '127.0.0.1', port: 1 }
const workers = { module: '/handler.mjs' }
const onRequest = (request: Buffer): Buffer => request
const onMessage: CursorHandler = (reader, writer) => writer.writeUint(reader.readUint(4), 4)
const onData = (connection: Connection): void => connection.reader.skip(1)

// With a framing there are messages.
createServer({ framing, onRequest })
createServer({ framing }, onRequest)
createServer({ framing, id: { offset: 0, size: 4 } }, (request) => request)
createServer({ framing, workers })
new Dialer({ framing, onRequest })
new Pool(address, { framing, onRequest, connections: 2 })
new Mux(address, { framing, onRequest })
createServer({ framing, onMessage })
createServer({
  framing,
  onMessage: (reader, writer, { data }) => void writer.writeString(`${reader.length} ${data}`),
})
new Dialer({ framing, onMessage })
new Pool(address, { framing, onMessage, connections: 2 })
new Mux(address, { framing, onMessage })
// @ts-expect-error: onMessage needs a framing
createServer({ onMessage })
// @ts-expect-error: a worker handles requests
createServer({ framing, workers, onMessage })
// @ts-expect-error: onData is for streams
createServer({ framing, onData })
// @ts-expect-error: onData is for streams
new Dialer({ framing, onData })
// @ts-expect-error: onData is for streams
new Pool(address, { framing, onData })
// @ts-expect-error: onData is for streams
new Mux(address, { framing, onData })
createServer({ framing }, () => null)
createServer({ framing, onRequest: async () => null })
createServer({ framing }, (request) => (request.length > 4 ? request : null))
new Dialer({ framing, onRequest: async (request) => (request.length > 4 ? [request, ''] : null) })
const worker: WorkerHandler = async (request) => (request.length > 4 ? request : null)
void worker
createServer({ framing, id: { offset: 0, size: 4 }, goAway: 'leave' })
createServer({
  framing,
  id: { offset: 0, size: 4 },
  goAway: ({ isActive }) => (isActive ? ['le', 'ave'] : undefined),
})
new Mux(address, { framing, id: { offset: 0, size: 4 }, isGoAway: (message) => message.equals(message) })
new Pool(address, { framing, id: { offset: 0, size: 4 }, isGoAway: (message) => message.length === 4 })
// @ts-expect-error: there are no messages
createServer({ goAway: 'leave' })
// @ts-expect-error: there are no messages
new Dialer({ isGoAway: () => true })
// @ts-expect-error: replies of workers come in order
createServer({ framing, workers, goAway: 'leave' })
// @ts-expect-error: a handler of messages returns bytes, text, a list of them or nothing
createServer({ framing }, () => 5)
// @ts-expect-error: a worker handles requests, so nobody else does
createServer({ framing, workers, onRequest })
// @ts-expect-error: replies of workers come in order
createServer({ framing, workers, id: { offset: 0, size: 4 } })
// @ts-expect-error: an id has 1, 2, 4 or 8 bytes
createServer({ framing, id: { offset: 0, size: 3 } })

// Without one there is a stream.
createServer({ onData })
createServer({}, onData)
createServer({ framing: undefined, onData })
new Dialer({ onData })
new Dialer()
new Pool(address)
// @ts-expect-error: onRequest needs a framing
createServer({ onRequest })
// @ts-expect-error: onRequest needs a framing
createServer({}, onRequest)
// @ts-expect-error: onRequest needs a framing
new Dialer({ onRequest })
// @ts-expect-error: onRequest needs a framing
new Pool(address, { onRequest })
// @ts-expect-error: ids are parts of messages
createServer({ id: { offset: 0, size: 4 } })
// @ts-expect-error: workers get messages
createServer({ workers })
// @ts-expect-error: a mux makes calls, which need a framing
new Mux(address, {})

// Options may be put together before they are used, and need not say `undefined` by leaving out.
const server: ServerOptions = { framing, onRequest, onData: undefined }
const dialer: DialerOptions = { onData, onRequest: undefined }
createServer(server)
new Dialer(dialer)
declare const either: Framing | undefined
new Dialer({ framing: either })

// @ts-expect-error: there is no such option
createServer({ framing, onMessage: onRequest })
// @ts-expect-error: numbers are no text
createServer({ framing, maxInFlight: '64' })
// @ts-expect-error: a place to listen is needed
createServer({ framing }).listen({})
