/** What users may say about servers and dialers. `connection/options.ts` checks it. */
import type { Connection, CursorHandler, DataHandler, RequestHandler } from './connection'
import type { Framing } from '../framing/framing'
import type { IdField, IdFunction } from '../framing/message-id'
import type { BytesOption } from '../memory/message-types'
import type { LoadBalance } from '../process/settings'

export type { CursorHandler, DataHandler, RequestHandler } from './connection'

/**
 * Options that servers and dialers share, whatever is exchanged: {@link MessageOptions} or {@link StreamOptions} go with
 * them.
 */
export interface ConnectionOptions<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  /**
   * What a message is: a Node.js `Buffer`, or the plain `Uint8Array`, which costs less; the types of messages follow.
   * Default `'buffer'`. Either is a view of pooled memory that stays valid as long as it is held.
   */
  readonly bytes?: Bytes | undefined
  /**
   * Bytes waiting to be sent, at which `send` makes its caller wait until half of them have left. A server stops
   * reading from that connection then. Also the unread bytes of a stream at which reading pauses. Default 262,144.
   */
  readonly highWaterMark?: number | undefined
  /** Whether small writes leave at once (`TCP_NODELAY`). Default true. */
  readonly noDelay?: boolean | undefined
  /**
   * Milliseconds of silence after which the system probes the peer (TCP keep-alive); 0, the default, for never. The
   * system counts in whole seconds: rounded up, and at most 32,767 of them.
   */
  readonly keepAlive?: number | undefined
  /**
   * Milliseconds that an unfinished message may take to arrive, or a reader that waits may wait; 0, the default, for
   * ever. The message's connection fails with `ERR_READ_TIMEOUT`, once its handler or loop has answered what came whole
   * before it; the reader gets that error.
   */
  readonly readTimeout?: number | undefined
  /**
   * Milliseconds that a peer may take nothing of what waits to be sent, until its connection fails with
   * `ERR_WRITE_TIMEOUT`; 0, the default, for ever.
   */
  readonly writeTimeout?: number | undefined
  /**
   * Milliseconds without a byte in either direction, after which a connection closes with `ERR_IDLE_TIMEOUT`. It counts
   * while nothing is being handled and no call waits, from when that was so last. 0, the default, for never.
   */
  readonly idleTimeout?: number | undefined
  /**
   * Whether our direction stays open when the peer has ended its own. Default false: what had arrived
   * is answered, then the connection closes.
   */
  readonly allowHalfOpen?: boolean | undefined
  /**
   * Milliseconds that a closing connection waits for a peer that takes nothing of what is left to send. Then it waits
   * as long once more for the peer's end. A TCP peer that acknowledges something takes it. Default 2,000.
   */
  readonly closeTimeout?: number | undefined
  /**
   * Milliseconds that a closing connection waits for its peer in all, however slowly that goes on taking what is left.
   * A whole number from 1 on, and no limit that can be turned off: the peer decides how slow it is. Default 300,000.
   */
  readonly maxCloseTime?: number | undefined
  /**
   * Bytes that may be kept of what all connections of this server or dialer have read and not handed over. Those are
   * unfinished messages, and messages that wait because of `maxInFlight`. What shares a chunk with others counts as all
   * of it. Of streams it is what is unread beyond `highWaterMark`, because `onData` has left it or a reader waits for
   * more. What a codec has inflated counts, too, until its call ends. Default 1 GiB.
   */
  readonly maxBufferedBytes?: number | undefined
  /**
   * Messages of one connection that may be in handling, at which reading from it pauses. Nothing is
   * dropped. Default 1,024. For a dialer it counts where `onRequest` is given.
   */
  readonly maxInFlight?: number | undefined
  /**
   * Whether replies leave in the order of their requests. Default true; false for protocols whose
   * messages carry ids.
   */
  readonly ordered?: boolean | undefined
  /**
   * Threads of the core's own that read and write, at most 64. With 0, the default, the core polls in the event loop of
   * this thread, which costs least. More let JavaScript spend its time on handlers alone. All servers and dialers of a
   * thread share them.
   */
  readonly pollers?: number | undefined
  /** Which of several pollers gets a connection. Default `'roundRobin'`. */
  readonly loadBalance?: LoadBalance | undefined
  /**
   * The first to see a connection, for what it needs from the start. `false` refuses it: it closes at once. So does a
   * promise, of which `onError` is told.
   */
  readonly onPrepare?: (((connection: Connection<Data, Bytes>) => boolean | void) | undefined) | undefined
  /**
   * A connection is established. Its messages, and `onData`, wait until the hook, or the promise it returns, is done.
   * `dial` resolves after it.
   */
  readonly onConnect?:
    | (((connection: Connection<Data, Bytes>) => void | PromiseLike<void>) | undefined)
    | undefined
  /** At most half of `highWaterMark` waits to be sent, after it was more than that. */
  readonly onDrain?: (((connection: Connection<Data, Bytes>) => void) | undefined) | undefined
  /**
   * Is told what goes wrong: an error of a handler or hook, a message that its framing refuses, a peer's
   * reset. Without it each becomes a line on stderr, except what the system reports of a connection.
   */
  readonly onError?:
    | (((error: unknown, connection: Connection<Data, Bytes> | undefined) => void) | undefined)
    | undefined
  /**
   * The connection has gone; `error` says why, where peer or network ended it out of order. Close callbacks wait for a
   * promise that it returns.
   */
  readonly onDisconnect?:
    | (((connection: Connection<Data, Bytes>, error: Error | undefined) => void) | undefined)
    | undefined
}

/** Options of servers and clients that exchange messages. */
export interface MessageOptions<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  /** How input is cut into messages: made by `lengthField`, `delimiter` or `varint`. */
  readonly framing: Framing
  /**
   * How messages carry the ids by which replies find their calls: a field that the core reads, or a function. Then
   * replies may come in any order, and servers can call, too. Default: replies come in order.
   */
  readonly id?: IdField | IdFunction<Bytes> | undefined
  /** Handles a message. */
  readonly onRequest?: RequestHandler<Data, Bytes> | undefined
  /**
   * Handles a message in the place of `onRequest`, without a view of it, a `Buffer` for the reply, or a promise. For codecs
   * and frameworks, which decode from memory: see {@link CursorHandler}.
   */
  readonly onMessage?: CursorHandler<Data, Bytes> | undefined
  /** Of streams alone. */
  readonly onData?: undefined
}

/** Options of servers and clients that exchange a stream of bytes, and take messages out of it, if there are any. */
export interface StreamOptions<Data = unknown, Bytes extends BytesOption = 'buffer'> {
  /** None: that makes it a stream. */
  readonly framing?: undefined
  /** Of messages alone. */
  readonly id?: undefined
  /** Of messages alone. */
  readonly onRequest?: undefined
  /** Of messages alone. */
  readonly onMessage?: undefined
  /** Reads what has arrived. */
  readonly onData?: DataHandler<Data, Bytes> | undefined
}
