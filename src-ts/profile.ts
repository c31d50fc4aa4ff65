import type { Connection, RequestHandler } from './connection'
import { NetpollError } from './errors'
import type { EventLoop } from './event-loop'
import type { Framing } from './framing'
import type { CheckedOptions, ConnectionOptions } from './options'

/** Is told what went wrong, and on which connection. */
export type ErrorListener = ((error: unknown, connection: Connection | undefined) => void) | undefined

/** What all connections of one server or dialer have in common. */
export interface Profile {
  readonly loop: EventLoop
  readonly framing: Framing
  readonly bytes: 'buffer' | 'uint8array'
  readonly ordered: boolean
  readonly highWaterMark: number
  readonly role: 'server' | 'client'
  readonly onRequest: RequestHandler | undefined
  /** Requests handled so far. */
  requests: number
  /** Something went wrong on a connection, or in the user's code for it. */
  failed(error: unknown, connection: Connection): void
  /** A dialed connection is established. */
  opened(connection: Connection): void
  /** A connection has gone. */
  closed(connection: Connection, error: NetpollError | undefined): void
}

/** Who is told first of the connections of a profile. */
export interface Owner {
  readonly role: 'server' | 'client'
  opened(connection: Connection): void
  /** Whether the connection was known to the user, so that its hooks run. */
  closed(connection: Connection, error: NetpollError | undefined): boolean
}

/** Joins checked options, the user's hooks and their owner. */
export function createProfile<Data>(
  loop: EventLoop,
  checked: CheckedOptions,
  options: ConnectionOptions<Data>,
  owner: Owner,
): Profile {
  const onError = options.onError as ErrorListener
  return {
    loop,
    framing: checked.framing,
    bytes: checked.bytes,
    ordered: checked.ordered,
    highWaterMark: checked.highWaterMark,
    role: owner.role,
    onRequest: options.onRequest as RequestHandler | undefined,
    requests: 0,
    failed: (error, connection) => report(onError, error, connection),
    opened: (connection) => owner.opened(connection),
    closed: (connection, error) => {
      if (!owner.closed(connection, error)) return
      // A system's error is nobody's fault: it is told, and not logged.
      if (error !== undefined && (onError !== undefined || error.errno === undefined)) {
        report(onError, error, connection)
      }
      try {
        options.onDisconnect?.(connection as Connection<Data>, error)
      } catch (failure) {
        report(onError, failure, connection)
      }
    },
  }
}

/** Tells the user what went wrong: nothing is swallowed, and nothing of it ends the process. */
export function report(onError: ErrorListener, error: unknown, connection: Connection | undefined): void {
  if (onError === undefined) {
    logLine(error)
    return
  }
  try {
    onError(error, connection)
  } catch (second) {
    logLine(error)
    logLine(second)
  }
}

function logLine(error: unknown): void {
  const code = error instanceof NetpollError ? `${error.code}: ` : ''
  const text = error instanceof Error ? `${code}${error.message}` : String(error)
  process.stderr.write(`netpoll: ${text.replaceAll('\n', ' ')}\n`)
}
