import type { BytesOption } from '../memory/message-types'
import type { ConnectionOptions, MessageOptions, StreamOptions } from '../connection/option-types'
import type { Payload } from '../memory/payload'
import type { Connection } from '../connection/connection'
import type { Reply } from '../connection/messages/reply-queue'
import type { WorkersOptions } from '../workers/options'
import { optionNames } from '../checks/known-options'
import { type AnyOptions, sharedNames } from '../connection/options'
import { invalidValue } from '../errors'
import type { Address } from '../native/address'
import type { ServerTlsOptions } from '../tls/options'

/** Options of servers, whatever is exchanged. */
export interface AcceptOptions<Data = unknown, Bytes extends BytesOption = 'buffer'>
  extends ConnectionOptions<Data, Bytes> {
  /**
   * Connections that the server holds at most. One more is accepted and closed at once. Default: no
   * limit.
   */
  readonly maxConnections?: number | undefined
  /**
   * Encrypts every connection. They are told of, and count, once their handshake is done. Default: none is encrypted.
   */
  readonly tls?: ServerTlsOptions | undefined
  /** A connection was closed at once because there were `maxConnections`. */
  readonly onDrop?: (((drop: Drop) => void) | undefined) | undefined
}

/** Options of a server with a framing. */
export interface FramedServerOptions<Data = unknown, Bytes extends BytesOption = 'buffer'>
  extends AcceptOptions<Data, Bytes>,
    MessageOptions<Data, Bytes> {
  /**
   * What `close` sends on each connection before anything ends, by which clients know that they are to leave. It is a
   * message, or a function that gives it, or nothing, for one connection. Then the server serves on until they have
   * left, for at most `maxCloseTime`. Needs `id`, and an id that no call has. Default: nothing, and `close` ends
   * connections at once.
   */
  readonly goAway?: Payload | ((connection: Connection<Data, Bytes>) => Reply) | undefined
  /** Of {@link WorkerServerOptions} alone. */
  readonly workers?: undefined
}

/** Options of a server with a framing whose requests worker threads handle. */
export interface WorkerServerOptions<Data = unknown, Bytes extends BytesOption = 'buffer'>
  extends AcceptOptions<Data, Bytes>,
    MessageOptions<Data, Bytes> {
  /**
   * Worker threads that handle the requests, in the place of `onRequest`. Requests and replies go natively, without passing
   * through the JavaScript of this thread.
   */
  readonly workers: WorkersOptions
  /** Replies of workers come in order. */
  readonly id?: undefined
  /** The workers handle requests. */
  readonly onRequest?: undefined
  /** The workers handle requests: their module may export `onMessage`. */
  readonly onMessage?: undefined
  /** Needs ids. */
  readonly goAway?: undefined
}

/** Options of a server without a framing. */
export interface StreamServerOptions<Data = unknown, Bytes extends BytesOption = 'buffer'>
  extends AcceptOptions<Data, Bytes>,
    StreamOptions<Data, Bytes> {
  /** Of messages alone. */
  readonly goAway?: undefined
  /** Of {@link WorkerServerOptions} alone. */
  readonly workers?: undefined
}

/** Options of `createServer`. */
export type ServerOptions<Data = unknown, Bytes extends BytesOption = 'buffer'> =
  | FramedServerOptions<Data, Bytes>
  | WorkerServerOptions<Data, Bytes>
  | StreamServerOptions<Data, Bytes>

/** Of `createServer`. */
export const serverOptionNames = optionNames<ServerOptions>({
  ...sharedNames,
  goAway: true,
  maxConnections: true,
  onDrop: true,
  tls: true,
  workers: true,
})

/** Refuses what workers take the place of. */
export function checkHandling<Data, Bytes extends BytesOption>(
  options: AnyOptions<Data, Bytes> & { readonly workers?: WorkersOptions | undefined },
): void {
  if (options.workers === undefined) return
  if (options.framing === undefined) {
    throw invalidValue('options.workers', 'needs a framing', options.workers)
  }
  for (const name of ['onRequest', 'onMessage', 'id'] as const) {
    if (options[name] !== undefined) {
      throw invalidValue(`options.${name}`, 'must not be given together with options.workers', options[name])
    }
  }
}

/** A connection that was closed because its server had `maxConnections` already. */
export interface Drop {
  /** The other end; `undefined` when it was gone already. */
  readonly remoteAddress: Address | undefined
  /** This end; `undefined` when the connection was gone already. */
  readonly localAddress: Address | undefined
}
