import type { Drop } from './admission'
import type { Connection } from './connection'
import type { DialSettings } from './dial-options'
import { invalidType, invalidValue } from './errors'
import { checkInteger, Framing, streamFraming } from './framing'
import { checkIds, type IdField, type IdFunction, type Ids } from './message-id'
import type { NativeSettings } from './native'
import type { Reply } from './reply'
import type { WorkersOptions } from './workers/options'

/** Handles one message; what it returns is the reply. */
export type RequestHandler<Data = unknown> = (
  request: Buffer,
  connection: Connection<Data>,
) => Reply | PromiseLike<Reply>

/**
 * Reads from `connection.reader`. Never called twice at once for one connection; called again when bytes remain and it
 * has taken some, or more have come. One that is done and has left bytes asks for more by that: they are read, however
 * many, so it must refuse what is longer than it would take. Reading pauses at `highWaterMark` while a promise of it is
 * pending.
 */
export type DataHandler<Data = unknown> = (connection: Connection<Data>) => void | PromiseLike<void>

/** Who gets the next connection: one after the other, any, or whoever has the fewest. */
export type LoadBalance = 'roundRobin' | 'random' | 'leastConnections'

/** Options that servers and dialers share. */
export interface ConnectionOptions<Data = unknown> {
  /**
   * How input is cut into messages: `lengthField`, `delimiter` or `varint`. Without one a connection is a stream of
   * bytes, with a `reader`.
   */
  readonly framing?: Framing
  /**
   * How messages carry the ids by which replies find their calls: a field that the core reads, or a function. Then
   * replies may come in any order, and servers can call, too. With a framing only. Default: replies come in order.
   */
  readonly id?: IdField | IdFunction
  /**
   * What a message is: a Node.js `Buffer`, or the plain `Uint8Array`, which costs less. Default
   * `'buffer'`. Either is a view of pooled memory that stays valid as long as it is held.
   */
  readonly bytes?: 'buffer' | 'uint8array'
  /**
   * Bytes waiting to be sent, at which `send` makes its caller wait until half of them have left, and a
   * server stops to read from that connection. Also the unread bytes of a stream at which reading pauses. Default
   * 262,144.
   */
  readonly highWaterMark?: number
  /** Whether small writes leave at once (`TCP_NODELAY`). Default true. */
  readonly noDelay?: boolean
  /** Seconds of silence after which the system probes the peer (TCP keep-alive); 0, the default, for never. */
  readonly keepAlive?: number
  /**
   * Milliseconds that an unfinished message may take to arrive, or a reader that waits may wait; 0, the default, for
   * ever. The message's connection fails with `ERR_READ_TIMEOUT`; whoever reads gets that error.
   */
  readonly readTimeout?: number
  /**
   * Milliseconds that a peer may take nothing of what waits to be sent, until its connection fails with
   * `ERR_WRITE_TIMEOUT`; 0, the default, for ever.
   */
  readonly writeTimeout?: number
  /**
   * Milliseconds without a byte in either direction, nothing being handled and no call waiting, after which a
   * connection closes with `ERR_IDLE_TIMEOUT`; 0, the default, for never.
   */
  readonly idleTimeout?: number
  /**
   * Whether our direction stays open when the peer has ended its own. Default false: what had arrived
   * is answered, then the connection closes.
   */
  readonly allowHalfOpen?: boolean
  /**
   * Milliseconds that a closing connection waits for a peer that does not read what is left to send, and
   * then once more for the peer's end. Default 2,000.
   */
  readonly closeTimeout?: number
  /** Bytes that unfinished messages of all connections of this server or dialer may take. Default 1 GiB. */
  readonly maxBufferedBytes?: number
  /**
   * Messages of one connection that may be in handling, at which reading from it pauses. Nothing is
   * dropped. Default 1,024. For a dialer it counts where `onRequest` is given.
   */
  readonly maxInFlight?: number
  /**
   * Whether replies leave in the order of their requests. Default true; false for protocols whose
   * messages carry ids.
   */
  readonly ordered?: boolean
  /**
   * Threads of the core's own that read and write, at most 64. With 0, the default, the core polls in the event loop of
   * this thread, which costs least. More let JavaScript spend its time on handlers alone. All servers and dialers of a
   * thread share them.
   */
  readonly pollers?: number
  /** Which of several pollers gets a connection. Default `'roundRobin'`. */
  readonly loadBalance?: LoadBalance
  /** The first to see a connection, for what it needs from the start. `false` refuses it: it closes at once. */
  readonly onPrepare?: (connection: Connection<Data>) => boolean | void
  /**
   * A connection is established. Its messages, and `onData`, wait until the hook, or the promise it returns, is done.
   * `dial` resolves after it.
   */
  readonly onConnect?: (connection: Connection<Data>) => void | PromiseLike<void>
  /** Handles a message. With a framing only. */
  readonly onRequest?: RequestHandler<Data>
  /** Reads what has arrived. Without a framing only. */
  readonly onData?: DataHandler<Data>
  /** At most half of `highWaterMark` waits to be sent, after it was more than that. */
  readonly onDrain?: (connection: Connection<Data>) => void
  /**
   * Is told what goes wrong: an error of a handler or hook, a message that its framing refuses, a peer's
   * reset. Without it each becomes a line on stderr, except what the system reports of a connection.
   */
  readonly onError?: (error: unknown, connection: Connection<Data> | undefined) => void
  /** The connection has gone; `error` says why, where peer or network ended it out of order. */
  readonly onDisconnect?: (connection: Connection<Data>, error: Error | undefined) => void
}

/** Options of `createServer`. */
export interface ServerOptions<Data = unknown> extends ConnectionOptions<Data> {
  /**
   * Connections that the server holds at most. Whoever comes then is accepted and closed at once. Default: no
   * limit.
   */
  readonly maxConnections?: number
  /** A connection was closed at once because there were `maxConnections`. */
  readonly onDrop?: (drop: Drop) => void
  /**
   * Worker threads that handle the requests, in the place of `onRequest`. Requests and replies go natively, without passing
   * through the JavaScript of this thread. With a framing only.
   */
  readonly workers?: WorkersOptions
}

/** Options of `new Dialer`. */
export interface DialerOptions<Data = unknown> extends ConnectionOptions<Data>, DialSettings {
  /** Milliseconds until a `call` without a timeout of its own is given up; 0, the default, for never. */
  readonly requestTimeout?: number
}

/** The defaults, in one place. */
const defaults = {
  highWaterMark: 256 * 1024,
  closeTimeout: 2_000,
  maxBufferedBytes: 1024 ** 3,
  maxInFlight: 1_024,
  readTimeout: 0,
  writeTimeout: 0,
  idleTimeout: 0,
  requestTimeout: 0,
  keepAlive: 0,
  pollers: 0,
} as const

/** Milliseconds that a timer takes. */
export const largestTimeout = 2 ** 31 - 1

/** The user's hooks, checked to be functions. */
export type Hooks = {
  readonly [Name in (typeof hookNames)[number]]: Exclude<ConnectionOptions[Name], undefined> | undefined
}

const hookNames = [
  'onPrepare',
  'onConnect',
  'onRequest',
  'onData',
  'onDrain',
  'onDisconnect',
  'onError',
] as const

/** Options after checking: nothing is optional any more. */
export interface CheckedOptions {
  readonly framing: Framing
  /** How replies are matched; `undefined`: in order. */
  readonly ids: Ids | undefined
  /** Whether the core counts messages in handling, so that each has to be acknowledged. */
  readonly countsMessages: boolean
  readonly bytes: 'buffer' | 'uint8array'
  readonly ordered: boolean
  readonly allowHalfOpen: boolean
  readonly highWaterMark: number
  readonly maxInFlight: number
  readonly readTimeout: number
  readonly requestTimeout: number
  readonly pollers: number
  readonly loadBalance: LoadBalance
  readonly hooks: Hooks
  readonly settings: NativeSettings
}

/** Where messages are handled: in this thread, or by workers. */
export type Handling = 'here' | 'workers'

/** Refuses what workers take the place of. */
export function checkHandling<Data>(options: ServerOptions<Data>): void {
  if (options.workers === undefined) return
  if (options.framing === undefined) {
    throw invalidValue('options.workers', 'needs a framing', options.workers)
  }
  for (const name of ['onRequest', 'id'] as const) {
    if (options[name] !== undefined) {
      throw invalidValue(`options.${name}`, 'must not be given together with options.workers', options[name])
    }
  }
}

/** What the core counts of a stream, whose pieces are messages in flight: more than can be there. */
const uncountedPieces = 2 ** 32 - 1

type NumberOption =
  | 'highWaterMark'
  | 'closeTimeout'
  | 'maxInFlight'
  | 'maxBufferedBytes'
  | 'readTimeout'
  | 'writeTimeout'
  | 'idleTimeout'
  | 'requestTimeout'
  | 'keepAlive'
  | 'pollers'

/** Checks what servers and dialers share. */
export function checkConnectionOptions<Data>(
  options: ConnectionOptions<Data> & { readonly requestTimeout?: number },
  role: 'server' | 'client',
  handling: Handling = 'here',
): CheckedOptions {
  checkObject('options', options)
  const framing = checkFraming(options.framing)
  const ids = checkIds(options.id)
  if (ids !== undefined && framing.isStream) {
    throw invalidValue('options.id', 'needs a framing', typeof options.id)
  }
  const hooks = checkHooks(options, framing)
  for (const name of ['noDelay', 'allowHalfOpen', 'ordered'] as const) checkBoolean(name, options[name])
  const { bytes = 'buffer' } = options
  if (bytes !== 'buffer' && bytes !== 'uint8array') {
    throw invalidType('options.bytes', "'buffer' or 'uint8array'", bytes)
  }
  const number = (name: NumberOption, least: number, most: number): number => {
    const value = options[name] ?? defaults[name]
    checkInteger(`options.${name}`, value, least, most)
    return value
  }
  const time = (name: NumberOption): number => number(name, 0, largestTimeout)
  const highWaterMark = number('highWaterMark', 1, 2 ** 31 - 1)
  const maxInFlight = number('maxInFlight', 1, 1_000_000)
  const readTimeout = time('readTimeout')
  const counted = role === 'server' || hooks.onRequest !== undefined ? maxInFlight : 0
  return {
    framing,
    ids,
    countsMessages: counted > 0,
    bytes,
    ordered: options.ordered ?? true,
    allowHalfOpen: options.allowHalfOpen ?? false,
    highWaterMark,
    maxInFlight,
    readTimeout,
    requestTimeout: time('requestTimeout'),
    pollers: number('pollers', 0, 64),
    loadBalance: checkLoadBalance(options.loadBalance),
    hooks,
    settings: {
      framing: framing.native,
      ...(ids?.native === undefined ? {} : { idField: ids.native }),
      maxInFlight: framing.isStream ? uncountedPieces : counted,
      highWaterMark,
      // A server does not serve who does not read; a client that stopped to read might wait for itself.
      stopReadingWhenCongested: role === 'server',
      noDelay: options.noDelay ?? true,
      allowHalfOpen: options.allowHalfOpen ?? false,
      // A stream's bytes can be read within the hook; a message would go to its handler.
      startPaused: hooks.onConnect !== undefined && (hooks.onRequest !== undefined || handling === 'workers'),
      closeTimeout: time('closeTimeout'),
      ordered: options.ordered ?? true,
      maxBufferedBytes: number('maxBufferedBytes', 0, Number.MAX_SAFE_INTEGER),
      readTimeout,
      writeTimeout: time('writeTimeout'),
      idleTimeout: time('idleTimeout'),
      keepAlive: number('keepAlive', 0, 32_767),
    },
  }
}

function checkLoadBalance(value: unknown): LoadBalance {
  if (value === undefined) return 'roundRobin'
  if (value === 'roundRobin' || value === 'random' || value === 'leastConnections') return value
  throw invalidType('options.loadBalance', "'roundRobin', 'random' or 'leastConnections'", value)
}

function checkFraming(framing: unknown): Framing {
  if (framing === undefined) return streamFraming
  if (framing instanceof Framing) return framing
  throw invalidType('options.framing', 'made by lengthField, delimiter or varint', framing)
}

function checkHooks<Data>(options: ConnectionOptions<Data>, framing: Framing): Hooks {
  for (const name of hookNames) checkFunction(name, options[name])
  for (const name of ['onRequest', 'onData'] as const) {
    checkPlace(name, options[name], framing, `options.${name}`)
  }
  // Users' types of `connection.data` end here.
  const { onPrepare, onConnect, onRequest, onData, onDrain, onDisconnect, onError } =
    options as unknown as ConnectionOptions
  return { onPrepare, onConnect, onRequest, onData, onDrain, onDisconnect, onError }
}

/** Checks a handler that is given to a connection. */
export function checkHandler(name: 'onRequest' | 'onData', handler: unknown, framing: Framing): void {
  if (handler !== undefined && typeof handler !== 'function') {
    throw invalidType(name, 'of type function', handler)
  }
  checkPlace(name, handler, framing, name)
}

/** Checks that a handler is for what a connection has: messages or bytes. */
function checkPlace(
  handles: 'onRequest' | 'onData',
  handler: unknown,
  { isStream }: Framing,
  argument: string,
): void {
  if (handler === undefined || (handles === 'onData') === isStream) return
  const problem = isStream
    ? 'needs a framing; a stream has onData'
    : 'is for streams; a framing has onRequest'
  throw invalidValue(argument, problem, 'a function')
}

/** Checks an optional time in milliseconds. */
export function checkTimeout(value: unknown, least: 0 | 1): void {
  if (value !== undefined) checkInteger('options.timeout', value, least, largestTimeout)
}

/** Checks a time in milliseconds; 0 stands for ever. */
export function checkMilliseconds(name: string, value: unknown): asserts value is number {
  checkInteger(name, value, 0, largestTimeout)
}

/** Checks an optional backlog. */
export function checkBacklog(value: unknown): void {
  if (value !== undefined) checkInteger('options.backlog', value, 1, 2 ** 31 - 1)
}

/** Checks an optional signal. */
export function checkSignal(value: unknown): void {
  if (value !== undefined && !(value instanceof AbortSignal)) {
    throw invalidType('options.signal', 'an instance of AbortSignal', value)
  }
}

/** Checks an argument that has members. */
export function checkObject(name: string, value: unknown): void {
  if (typeof value !== 'object' || value === null) throw invalidType(name, 'of type object', value)
}

/** Checks a port. */
export function checkPort(value: unknown, least: 0 | 1): asserts value is number {
  checkInteger('options.port', value, least, 65_535)
}

/** Checks a string that must say something. */
export function checkText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '') throw invalidType(name, 'a string that is not empty', value)
}

/** Checks an optional function. */
export function checkFunction(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') {
    throw invalidType(`options.${name}`, 'of type function', value)
  }
}

/** Checks an optional boolean. */
export function checkBoolean(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalidType(`options.${name}`, 'of type boolean', value)
  }
}
