import type { Drop } from './admission'
import type { Connection, RequestHandler } from './connection'
import type { DialSettings } from './dial-options'
import { invalidType } from './errors'
import { checkInteger, Framing } from './framing'
import type { NativeSettings } from './native'

/** Options that servers and dialers share. */
export interface ConnectionOptions<Data = unknown> {
  /** How input is cut into messages: `lengthField`, `delimiter` or `varint`. */
  readonly framing: Framing
  /**
   * What a message is: a Node.js `Buffer`, or the plain `Uint8Array`, which costs less. Default
   * `'buffer'`. Either is a view of pooled memory that stays valid as long as it is held.
   */
  readonly bytes?: 'buffer' | 'uint8array'
  /**
   * Bytes waiting to be sent, at which `send` makes its caller wait until half of them have left, and a
   * server stops to read from that connection. Default 262,144.
   */
  readonly highWaterMark?: number
  /** Whether small writes leave at once (`TCP_NODELAY`). Default true. */
  readonly noDelay?: boolean
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
  /** Handles a message. */
  readonly onRequest?: RequestHandler<Data>
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
  /** A connection was accepted. Its messages wait until the hook, or the promise it returns, is done. */
  readonly onConnect?: (connection: Connection<Data>) => void | PromiseLike<void>
  /**
   * Connections that the server holds at most. Whoever comes then is accepted and closed at once. Default: no
   * limit.
   */
  readonly maxConnections?: number
  /** A connection was closed at once because there were `maxConnections`. */
  readonly onDrop?: (drop: Drop) => void
}

/** Options of `new Dialer`. */
export interface DialerOptions<Data = unknown> extends ConnectionOptions<Data>, DialSettings {}

/** The defaults, in one place. */
const defaults = {
  highWaterMark: 256 * 1024,
  closeTimeout: 2_000,
  maxBufferedBytes: 1024 ** 3,
  maxInFlight: 1_024,
} as const

/** Milliseconds that a timer takes. */
export const largestTimeout = 2 ** 31 - 1

/** Options after checking: nothing is optional any more. */
export interface CheckedOptions {
  readonly framing: Framing
  readonly bytes: 'buffer' | 'uint8array'
  readonly ordered: boolean
  readonly highWaterMark: number
  readonly settings: NativeSettings
}

/**
 * Checks what servers and dialers share. `paused`: connections wait to be resumed; `counted`: messages
 * need to be acknowledged.
 */
export function checkConnectionOptions<Data>(
  options: ConnectionOptions<Data>,
  role: { readonly paused: boolean; readonly counted: boolean; readonly stopReadingWhenCongested: boolean },
): CheckedOptions {
  checkObject('options', options)
  if (!(options.framing instanceof Framing)) {
    throw invalidType('options.framing', 'made by lengthField, delimiter or varint', options.framing)
  }
  for (const name of ['onRequest', 'onError', 'onDisconnect'] as const) checkFunction(name, options[name])
  for (const name of ['noDelay', 'allowHalfOpen', 'ordered'] as const) checkBoolean(name, options[name])
  const { bytes = 'buffer' } = options
  if (bytes !== 'buffer' && bytes !== 'uint8array') {
    throw invalidType('options.bytes', "'buffer' or 'uint8array'", bytes)
  }
  const number = (
    name: 'highWaterMark' | 'closeTimeout' | 'maxInFlight' | 'maxBufferedBytes',
    least: number,
    most: number,
  ): number => {
    const value = options[name] ?? defaults[name]
    checkInteger(`options.${name}`, value, least, most)
    return value
  }
  const highWaterMark = number('highWaterMark', 1, 2 ** 31 - 1)
  const maxInFlight = number('maxInFlight', 1, 1_000_000)
  return {
    framing: options.framing,
    bytes,
    ordered: options.ordered ?? true,
    highWaterMark,
    settings: {
      framing: options.framing.native,
      maxInFlight: role.counted ? maxInFlight : 0,
      highWaterMark,
      stopReadingWhenCongested: role.stopReadingWhenCongested,
      noDelay: options.noDelay ?? true,
      allowHalfOpen: options.allowHalfOpen ?? false,
      startPaused: role.paused,
      closeTimeout: number('closeTimeout', 0, largestTimeout),
      maxBufferedBytes: number('maxBufferedBytes', 0, Number.MAX_SAFE_INTEGER),
    },
  }
}

/** Checks an optional time in milliseconds. */
export function checkTimeout(value: unknown, least: 0 | 1): void {
  if (value !== undefined) checkInteger('options.timeout', value, least, largestTimeout)
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
