import type { ConnectionTls } from '../tls/connection-tls'
import type { ClientStartTlsOptions, ServerStartTlsOptions } from '../tls/start-tls-options'
import { startTls } from './upgrade'
import { calls } from '../process/tracing'
import { type Address, addressText } from '../native/address'
import { type Inspection, inspectCustom, known, show } from '../process/inspection'
import { call } from './calls/connection-calls'
import type { CallOptions } from './calls/pending-call'
import { detach } from './detach'
import { PauseReason } from './read-pause'
import { send, sendLast } from './sending'
import { requiredLimit } from '../time/time-limits'
import { ConnectionCore, type NewDuplex, type ConnectionGroup } from './core'
import { StreamDuplex } from './stream/duplex'
import type { StreamTransport } from './stream/transport'
import type { MessageReader } from '../link-buffer/message-reader'
import type { MessageWriter } from '../link-buffer/message-writer'
import type { Reader } from '../link-buffer/reader'
import type { Writer } from '../link-buffer/writer'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import type { MessageHandler, StreamHandler } from './hooks'
import type { Reply } from './messages/reply-queue'
import type { FirstStatus } from './life'
import type { NativeId } from '../native/binding'
import type { Context } from '../process/async-context'
import type { Payload } from '../memory/payload'

/** Handles one message; what it returns is the reply. */
export type RequestHandler<Data = unknown, Bytes extends BytesOption = 'buffer'> = (
  request: MessageTypes[Bytes],
  connection: Connection<Data, Bytes>,
) => Reply | PromiseLike<Reply>

/**
 * Handles one message by cursor: `reader` has the message, and what was written to `writer` when this returns is the reply.
 * Both are used again for the next message, so that neither a view nor a promise is made. The memory of a message of which
 * no view was made is free when this returns.
 *
 * It returns nothing, and no promise: `writer.later()` gives a handle for a reply that comes later. What it throws costs the
 * connection, as with `onRequest`.
 */
export type CursorHandler<Data = unknown, Bytes extends BytesOption = 'buffer'> = (
  reader: MessageReader,
  writer: MessageWriter,
  connection: Connection<Data, Bytes>,
) => void

/**
 * Reads from `connection.reader`. Never called twice at once for one connection; called again when bytes remain and it
 * has taken some, or more have come. A call that is done and has left bytes asks for more by that. They are read,
 * however many up to `maxBufferedBytes`, so it should refuse what is longer than it would take. Reading pauses at
 * `highWaterMark` while a promise of it is pending.
 */
export type DataHandler<Data = unknown, Bytes extends BytesOption = 'buffer'> = (
  connection: Connection<Data, Bytes>,
) => void | PromiseLike<void>

/** @internal What the package keeps of a connection that a user has: nothing that users set, replace or wrap comes between. */
export let coreOf: (connection: unknown) => ConnectionCore | undefined

/** The stream that users have of a connection. */
let newDuplex: NewDuplex

/** What users have of a connection that the package keeps. */
let newFacade: (core: ConnectionCore) => Connection

/** @internal Makes a connection: what the package keeps of it. */
export function createConnection(
  id: NativeId,
  group: ConnectionGroup,
  status: FirstStatus,
  context: Context,
): ConnectionCore {
  return new ConnectionCore(id, group, status, context, newFacade)
}

/**
 * One connection, accepted by a server or made by a dialer. Not created by users.
 *
 * With a framing it exchanges messages: `onRequest`, {@link send}, {@link call}. Without one it is a stream of bytes:
 * `onData` and {@link reader}. Either is an async iterable of what arrives, for a connection without a handler.
 *
 * @typeParam Data what the user keeps in {@link data}
 * @typeParam Bytes the option `bytes`, which says what a message is
 */
export class Connection<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  /** For the user to keep something by the connection. */
  data!: Data
  readonly #core: ConnectionCore

  static {
    coreOf = (connection) =>
      typeof connection === 'object' && connection !== null && #core in connection
        ? connection.#core
        : undefined
    newFacade = (core) => new Connection(core)
  }

  private constructor(core: ConnectionCore) {
    if (!ConnectionCore.isOne(core)) throw new TypeError('Connections are made by servers and dialers')
    this.#core = core
  }

  /**
   * Handles messages that answer no {@link call}, of a framed connection, and that no loop over the connection takes.
   * The server's or dialer's own handler, until it is replaced.
   *
   * @throws TypeError (when set) `ERR_INVALID_ARG_TYPE`; `ERR_INVALID_ARG_VALUE` without a framing
   */
  get onRequest(): RequestHandler<Data, Bytes> | undefined {
    return this.#core.onRequest as RequestHandler<Data, Bytes> | undefined
  }

  /** From the next message on. */
  set onRequest(handler: RequestHandler<Data, Bytes> | undefined) {
    this.#core.onRequest = handler as MessageHandler | undefined
  }

  /**
   * Called while unread bytes are there, of a connection without framing. As {@link onRequest}; set later, it is called
   * for what is there already.
   *
   * @throws TypeError (when set) `ERR_INVALID_ARG_TYPE`; `ERR_INVALID_ARG_VALUE` with a framing
   */
  get onData(): DataHandler<Data, Bytes> | undefined {
    return this.#core.onData as DataHandler<Data, Bytes> | undefined
  }

  /** Replaces the handler. */
  set onData(handler: DataHandler<Data, Bytes> | undefined) {
    this.#core.onData = handler as StreamHandler | undefined
  }

  /**
   * Whether messages can still be exchanged. False once the connection is closing or the peer's end or reset is seen,
   * even before what it sent has been handled. With `allowHalfOpen`, false once both sides have ended. It stays true while
   * {@link startTls} goes on.
   */
  get isActive(): boolean {
    return this.#core.isActive
  }

  /**
   * Aborted once the peer has gone or the connection closes: when {@link isActive} turns false. It is not aborted while
   * a server that closes, or a peer that wants no new calls, still waits for replies. Asked for later, it is aborted
   * already. A connection has no signal until it is asked for one.
   *
   * The reason is the error that `onDisconnect` gets, as far as it is known then. After an end in order,
   * {@link detach} included, it is the `AbortError` of `AbortController`. Listeners run in the context of `listen` or
   * `dial`. A listener that throws is an uncaught exception, as with every signal of Node.js, and costs no connection.
   *
   * A handler may reject with the reason, or with an error whose `cause` it is: `onError` is not told of that.
   *
   * @example
   * ```ts
   * import { setTimeout } from 'node:timers/promises'
   * import { createServer, lengthField } from 'netpoll'
   *
   * const server = createServer({ framing: lengthField({ size: 4 }) }, async (_request, { signal }) => {
   *   await setTimeout(60_000, undefined, { signal }) // ends when the caller goes
   *   return 'done'
   * })
   * ```
   */
  get signal(): AbortSignal {
    return this.#core.endSignal.signal
  }

  /** The other end; `undefined` once the callbacks of its end have run, unless it was asked for before. */
  get remoteAddress(): Address | undefined {
    return this.#core.socket.remoteAddress
  }

  /**
   * What TLS has agreed on with the peer; `undefined` without TLS. Asked for while the connection is there, it stays.
   */
  get tls(): ConnectionTls | undefined {
    return this.#core.socket.tls
  }

  /** This end; `undefined` once the connection is gone. */
  get localAddress(): Address | undefined {
    return this.#core.socket.localAddress
  }

  /** Bytes received so far, framing included. */
  get bytesRead(): number {
    return this.#core.socket.bytesRead
  }

  /** Bytes sent so far, framing included: what the system has taken, not what waits. */
  get bytesWritten(): number {
    return this.#core.socket.bytesWritten
  }

  /**
   * What has arrived and is unread, of a connection without framing.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` with a framing, where messages are cut before the user sees the bytes
   */
  get reader(): Reader {
    return this.#core.reader
  }

  /** What is to be sent, until it is flushed. With a framing, everything between two flushes is one message. */
  get writer(): Writer {
    return this.#core.writer
  }

  /**
   * Whether more than `highWaterMark` waits to be sent, because the peer is slow. `onDrain` tells the end. Not whether
   * {@link send} and `flush` wait for the event loop.
   */
  get isCongested(): boolean {
    return this.#core.isCongested
  }

  /**
   * `length` bytes to fill and send on this connection: a handler's reply, or for {@link send} and {@link call}. Up to
   * 16 MiB they are the memory that is sent from, where any other buffer is copied into it. What is in them before is
   * undefined; a shorter message is their `subarray` from 0. Once they were returned or sent, do not touch them: the next
   * messages may lie there, or the view may have lost its memory. Never sent, they stay as they are.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
   *
   * @example
   * ```ts
   * import { createServer, lengthField } from 'netpoll'
   *
   * const server = createServer({ framing: lengthField({ size: 4 }) }, (request, connection) => {
   *   const reply = connection.allocate(8)
   *   reply.writeBigUInt64BE(BigInt(request.length))
   *   return reply
   * })
   * ```
   */
  allocate(length: number): Buffer {
    const { poller, framing } = this.#core.group
    return poller.memory.arena.allocate(length, framing)
  }

  /**
   * Sends a message at once, outside the order of replies.
   *
   * @param message copied before this returns, unless it lies in memory of a received message: that is sent
   * from there, so do not change it afterwards
   * @returns a promise that resolves when more may be sent. Mostly that is at once. For a slow peer it is when at most
   * half of `highWaterMark` waits to be sent. Where this turn of the event loop has queued much, it is in the next
   * turn. Much is `highWaterMark` on the connection, or 4 MiB or 1,024 sends and flushes in its thread. While it waits
   * it keeps the process alive.
   * @throws NetpollError (as a rejection) `ERR_CONN_CLOSED` or the system's code when the connection is gone;
   * `ERR_FRAME_TOO_LARGE`; TypeError `ERR_INVALID_ARG_TYPE`. The rejection of a connection that is gone is not an
   * unhandled one where no caller waits.
   *
   * @example
   * ```ts
   * import { createServer, Dialer, lengthField } from 'netpoll'
   *
   * const framing = lengthField({ size: 4 })
   * const server = createServer({ framing, onConnect: (connection) => connection.send('welcome') })
   * await server.listen({ host: '127.0.0.1', port: 8000 })
   *
   * const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: 8000 })
   * for await (const message of connection) {
   *   console.log(String(message)) // welcome
   *   break
   * }
   * ```
   */
  send(message: Payload): Promise<void> {
    return send(this.#core, message, sendEntry)
  }

  /**
   * Sends a request and waits for its reply. Replies are matched in the order of the requests. However many
   * calls are made, they are queued.
   *
   * @returns the reply, a view that stays valid as long as it is held
   * @throws NetpollError (as a rejection) `ERR_REQUEST_TIMEOUT`, `ERR_CONN_CLOSED`, `ERR_TOO_MANY_LOST_CALLS`.
   * The system's code when the connection failed. The error of what was refused. The signal's reason when it was
   * aborted. `ERR_UNSUPPORTED` without a framing, and on a server's connection, which needs ids in the protocol.
   * What {@link send} rejects with.
   *
   * @example
   * ```ts
   * import { createServer, Dialer, lengthField } from 'netpoll'
   *
   * const framing = lengthField({ size: 4 })
   * const server = createServer({ framing }, (request) => `${request}!`)
   * await server.listen({ host: '127.0.0.1', port: 8000 })
   *
   * const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: 8000 })
   * const replies = await Promise.all(['a', 'b'].map((name) => connection.call(name, { timeout: 1_000 })))
   * console.log(replies.map(String).join()) // a!,b!
   * ```
   */
  call(request: Payload, options?: CallOptions): Promise<MessageTypes[Bytes]> {
    const pending = calls.hasSubscribers
      ? tracedCall(this, this.#core, request, options)
      : call(this.#core, request, options, callEntry)
    return pending as Promise<MessageTypes[Bytes]>
  }

  /**
   * What arrives, one after the other: messages, or pieces of the stream. Ends when the peer ends, or the connection is
   * closed here; throws when it failed. Leaving the loop leaves the connection open. Meanwhile `onRequest` and `onData`
   * are not called; afterwards what is left is for them, or for the next loop.
   *
   * @throws NetpollError `ERR_CONCURRENT_ACCESS` when another reader reads; the system's code
   */
  [Symbol.asyncIterator](): AsyncGenerator<MessageTypes[Bytes], void, undefined> {
    return this.#core.iterate() as AsyncGenerator<MessageTypes[Bytes], void, undefined>
  }

  /**
   * The connection as a stream of Node.js, for libraries that take a `net.Socket`. From then on it belongs to the user
   * of the stream: no other code reads, and it ends when the stream is ended or destroyed. `allowHalfOpen` says whether
   * the stream ends by itself when the peer does. Asked again, it is the same stream.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` with a framing; `ERR_CONCURRENT_ACCESS` while another reader reads,
   * or {@link startTls} is not done; `ERR_CONN_CLOSED` after {@link close} or {@link destroy}
   *
   * @example
   * ```ts
   * import { text } from 'node:stream/consumers'
   * import { pipeline } from 'node:stream/promises'
   * import { createServer, Dialer } from 'netpoll'
   *
   * const server = createServer({
   *   onConnect(connection) {
   *     const duplex = connection.toDuplex()
   *     pipeline(duplex, duplex).catch((error: Error) => duplex.destroy(error))
   *   },
   * })
   * await server.listen({ host: '127.0.0.1', port: 8000 })
   *
   * const connection = await new Dialer({ allowHalfOpen: true }).dial({ host: '127.0.0.1', port: 8000 })
   * const duplex = connection.toDuplex()
   * duplex.end('hello')
   * console.log(await text(duplex)) // hello
   * ```
   */
  toDuplex(): ConnectionDuplex {
    return this.#core.toDuplex(newDuplex) as ConnectionDuplex
  }

  /**
   * Ends our direction once everything that was accepted before is sent, and what handlers return in this turn of the
   * event loop. The peer's messages still come, and calls that wait still get their replies; the connection closes when
   * the peer ends, too.
   */
  end(): void
  /**
   * Sends a last message, then ends our direction.
   *
   * @returns a promise, and rejects, as {@link send}; then our direction does not end
   */
  end(message: Payload): Promise<void>
  end(message?: Payload): void | Promise<void> {
    return message === undefined ? this.#core.end() : sendLast(this.#core, message, endEntry)
  }

  /**
   * Sends what was accepted before, and what handlers return in this turn of the event loop. Then it closes, in a way
   * that the peer receives all of it. Messages that are still being handled then are not answered, nor is what waits
   * behind them in the order of replies. Calls that wait reject with `ERR_CONN_CLOSED`.
   *
   * @returns a promise that resolves when the connection is gone: at the peer's end, or after
   * `closeTimeout`
   */
  close(): Promise<void> {
    return this.#core.close()
  }

  /**
   * Closes at once. What was not sent yet is lost. Calls reject, and `onDisconnect` is told, with
   * `ERR_CONN_CLOSED`, whose `cause` is `error`.
   */
  destroy(error?: unknown): void {
    this.#core.destroy(error)
  }

  /** Closes at once and resets the peer (TCP only; a unix socket just closes). */
  resetAndDestroy(): void {
    this.#core.closing.resetAndDestroy()
  }

  /**
   * Takes the connection out of use without losing anything. No call of ours begins on it any more. It closes once
   * those that wait have their replies, and what the peer has asked is answered. Later calls reject with
   * `ERR_CONN_CLOSED` and `sent: false`; a pool or mux takes another connection for them. {@link onClose} tells of the
   * end.
   *
   * A server with `goAway` asks the peer to leave, and serves it until it has, for at most `maxCloseTime`. Any other side
   * reads no new requests: it ends as `server.close` ends a connection. A stream that {@link toDuplex} has taken over stays
   * with its user.
   *
   * @example
   * ```ts
   * import { createServer, lengthField } from 'netpoll'
   *
   * // Clients dial anew after ten minutes, so that they spread over servers that were added.
   * const server = createServer({
   *   framing: lengthField({ size: 4 }),
   *   onConnect: (connection) => {
   *     const age = setTimeout(() => connection.retire(), 600_000)
   *     connection.onClose(() => clearTimeout(age))
   *   },
   *   onRequest: (request) => request,
   * })
   * ```
   */
  retire(): void {
    this.#core.retire()
  }

  /**
   * Goes over to TLS: for STARTTLS, the SSLRequest of PostgreSQL, a PROXY header. A connection of a server is the server's
   * end of it, a dialed one the client's. It must have no framing and no TLS, and no caller may read or send meanwhile.
   * {@link end} and {@link retire} take effect once TLS has begun. What fails ends the connection. Servers are called what
   * was dialed, unless `servername` says otherwise.
   *
   * @returns a promise that resolves once the handshake is done; {@link tls} says then what was agreed on
   * @throws (as a rejection) NetpollError `ERR_TLS_PROTOCOL` where bytes are unread, see `unread`;
   * `ERR_TLS_HANDSHAKE_TIMEOUT`, `ERR_IDLE_TIMEOUT`, `ERR_TLS_ALERT` and the codes of `node:tls` for certificates;
   * `ERR_UNSUPPORTED`, `ERR_CONCURRENT_ACCESS`, `ERR_CONN_CLOSED`. TypeError `ERR_INVALID_ARG_TYPE`,
   * `ERR_INVALID_ARG_VALUE`
   *
   * @example
   * ```ts
   * import { Dialer } from 'netpoll'
   *
   * // As a client of PostgreSQL does it.
   * export async function secured(ca: string): Promise<void> {
   *   const connection = await new Dialer().dial({ host: 'db.example.com', port: 5432 })
   *   connection.writer.writeBinary(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]))
   *   await connection.writer.flush()
   *   await connection.reader.fill(1)
   *   if (connection.reader.readString(1) !== 'S') throw new Error('The server has no TLS')
   *   await connection.startTls({ ca })
   * }
   * ```
   */
  startTls(options: ServerStartTlsOptions | ClientStartTlsOptions = {}): Promise<void> {
    return startTls(this.#core, options)
  }

  /**
   * Gives the socket away: the connection is over here, and its descriptor, in non-blocking mode, belongs to the
   * caller, who has to close it. What is unread in {@link reader} belongs to what the new owner reads first.
   *
   * @throws NetpollError `EBUSY` while the reply of a call can still come, also of one that was given up.
   * `EAGAIN` while bytes wait to be sent, or messages to be handed over. `ERR_CONN_CLOSED`, also after a refusal.
   * `ERR_UNSUPPORTED` with TLS, from the call of {@link startTls} on.
   */
  detach(): number {
    return detach(this.#core)
  }

  /**
   * Calls `callback` once the connection is gone, after `onDisconnect`; soon, when it is gone already.
   *
   * @throws TypeError `ERR_INVALID_ARG_TYPE`
   */
  onClose(callback: () => void): this {
    this.#core.onClose(callback)
    return this
  }

  /** Hands over nothing further until {@link resume}. What is of the current turn may still come. */
  pause(): this {
    this.#core.readPause.pause(PauseReason.User)
    return this
  }

  /** Undoes {@link pause}. */
  resume(): this {
    this.#core.readPause.resume(PauseReason.User)
    return this
  }

  /**
   * Milliseconds that an unfinished message may take to arrive, or that a reader waits; 0 for ever. Counts from the
   * next message or wait on. {@link startTls} has a limit of its own.
   */
  setReadTimeout(milliseconds: number): this {
    this.#core.setReadTimeout(milliseconds)
    return this
  }

  /** Milliseconds that the peer may take nothing of what waits to be sent; 0 for ever. */
  setWriteTimeout(milliseconds: number): this {
    this.#core.socket.setWriteTimeout(milliseconds)
    return this
  }

  /**
   * Milliseconds without a byte in either direction, nothing being handled, after which it closes; 0 for never. Counts while
   * {@link startTls} goes on, too.
   */
  setIdleTimeout(milliseconds: number): this {
    this.#core.setIdleTimeout(milliseconds)
    return this
  }

  /** Milliseconds that a {@link call} without a timeout of its own waits; 0 for ever. */
  setRequestTimeout(milliseconds: number): this {
    this.#core.requestTimeout = requiredLimit('milliseconds', milliseconds)
    return this
  }

  /**
   * Whether small writes leave at once (`TCP_NODELAY`). On by default. Does nothing on a unix socket, or once
   * the connection is gone.
   *
   * @throws NetpollError the system's code; TypeError `ERR_INVALID_ARG_TYPE`
   */
  setNoDelay(on = true): this {
    this.#core.socket.setNoDelay(on)
    return this
  }

  /**
   * Has the system probe an idle peer after so many milliseconds, rounded up to whole seconds; 0 turns it off, the
   * default. Does nothing on a unix socket, or once the connection is gone.
   *
   * @throws NetpollError the system's code
   */
  setKeepAlive(milliseconds: number): this {
    this.#core.socket.setKeepAlive(milliseconds)
    return this
  }

  /** Keeps the process alive as long as this connection is open. The default. */
  ref(): this {
    this.#core.ref()
    return this
  }

  /** Lets the process end although this connection is open, unless a {@link send} or `flush` of it waits. */
  unref(): this {
    this.#core.unref()
    return this
  }

  /** @internal For `util.inspect`. What users have made of the connection is not asked, and what they keep by it is shown. */
  [inspectCustom](depth?: number | null, options?: Inspection): unknown {
    // Users may show the prototype, a proxy, or an object made from the connection.
    if (!(#core in this)) return this
    const core = this.#core
    const members = {
      state: core.life.state,
      peer: known(() => addressText(core.socket.remoteAddress)),
      bytesRead: known(() => core.socket.bytesRead),
      bytesWritten: known(() => core.socket.bytesWritten),
      calls: core.waitingCalls,
      error: core.closing.error?.code,
      data: Object.getOwnPropertyDescriptor(this, 'data')?.value as unknown,
    }
    return show(this, 'Connection', members, depth, options)
  }

  /** As {@link destroy}. */
  [Symbol.dispose](): void {
    this.#core.destroy()
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#core.close()
  }
}

/**
 * A connection without framing as a `stream.Duplex`, with the members that libraries use of `net.Socket`. Made by
 * {@link Connection.toDuplex}.
 *
 * What arrives is pushed as views of pooled memory, without a copy, but for pieces of up to 1 KiB. `'finish'` comes
 * once the system has everything and our direction has ended.
 *
 * What is written is copied before `write` returns. Its callback comes as soon as the system was given it and more may
 * be written. For a slow peer that is when it has read. For a fast one it is once the event loop has turned, where much
 * was sent in this turn. A chunk that lies in memory of something received is sent from there instead, so do not change
 * it afterwards.
 *
 * Errors have the system's code, such as `ECONNRESET`. A listener that throws is an uncaught exception, as with the
 * streams of Node.js.
 *
 * @example
 * ```ts
 * import { createInterface } from 'node:readline'
 * import { createServer } from 'netpoll'
 *
 * const server = createServer({
 *   onConnect(connection) {
 *     const duplex = connection.toDuplex()
 *     createInterface({ input: duplex }).on('line', (line) => duplex.write(`${line.toUpperCase()}\n`))
 *   },
 * })
 * ```
 */
export class ConnectionDuplex extends StreamDuplex<Connection> {
  static {
    newDuplex = (transport) => new ConnectionDuplex(transport, transport.group.allowHalfOpen)
  }

  protected constructor()
  /** @internal */
  protected constructor(transport: StreamTransport | undefined, allowHalfOpen: boolean)
  protected constructor(transport?: StreamTransport, allowHalfOpen = false) {
    super(transport, allowHalfOpen)
  }
}

/** Where users call. */
const { call: callEntry, end: endEntry, send: sendEntry } = Connection.prototype

/** Apart, because a function that contains another one allocates for it, whether or not it comes to that. */
function tracedCall(
  client: object,
  core: ConnectionCore,
  request: Payload,
  options: CallOptions | undefined,
): Promise<Buffer> {
  return calls.promise({ client, request }, () => call(core, request, options, callEntry))
}
