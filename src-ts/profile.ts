import type { Connection, RequestHandler } from './connection'
import type { NetpollError } from './errors'
import type { EventLoop } from './event-loop'
import type { Framing } from './framing'
import { type ErrorListener, guarded, report } from './hooks'
import type { ConnectionSettings } from './native'
import type { CheckedOptions, ConnectionOptions } from './options'

/** What all connections of one server or dialer have in common. */
export interface Profile {
  readonly loop: EventLoop
  readonly settings: ConnectionSettings
  readonly framing: Framing
  readonly bytes: 'buffer' | 'uint8array'
  readonly ordered: boolean
  readonly highWaterMark: number
  readonly role: 'server' | 'client'
  readonly onRequest: RequestHandler | undefined
  /** Requests handled so far. */
  requests: number
  /** Something went wrong on a connection, or in the user's code for it. */
  failed(error: unknown, connection: Connection | undefined): void
  /** A dialed connection is established. */
  opened(connection: Connection): void
  /** A connection has gone; `news` is the part of why that nobody was told yet. */
  closed(connection: Connection, error: NetpollError | undefined, news: NetpollError | undefined): void
}

/** Who is told first of the connections of a profile. */
export interface Owner {
  readonly role: 'server' | 'client'
  opened(connection: Connection): void
  /** Returns whether the connection was known to the user, so that its hooks run. */
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
  const failed = (error: unknown, connection: Connection | undefined): void => {
    report(onError, error, connection)
  }
  return {
    loop,
    settings: loop.createSettings(checked.settings),
    framing: checked.framing,
    bytes: checked.bytes,
    ordered: checked.ordered,
    highWaterMark: checked.highWaterMark,
    role: owner.role,
    onRequest: options.onRequest as RequestHandler | undefined,
    requests: 0,
    failed,
    opened: (connection) => owner.opened(connection),
    closed: (connection, error, news) => {
      if (!owner.closed(connection, error)) return
      // A failure of network or peer that the system names is nobody's fault: told, and not logged.
      const isLogged = news?.errno === undefined
      if (news !== undefined && (isLogged || onError !== undefined)) failed(news, connection)
      guarded(
        () => options.onDisconnect?.(connection as Connection<Data>, error),
        (failure) => failed(failure, connection),
      )
    },
  }
}
