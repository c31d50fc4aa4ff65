import type { ChunkStats } from '../native/binding'
import type { WorkerStats } from '../workers/pool'

/** What a server has done and holds. */
export interface ServerStats {
  /** Connections now. */
  readonly connections: number
  /** Connections accepted since the start, without those that were dropped. */
  readonly accepted: number
  /**
   * Connections closed at once since the start: there were `maxConnections`, or the system could not watch another one,
   * of which `onError` is told, too.
   */
  readonly dropped: number
  /** Messages handed to handlers since the start, or, of streams, calls of `onData`. Loops are not counted. */
  readonly requests: number
  /** Memory of messages, of the whole process; `pinned` and `outgoing` of this thread. */
  readonly chunks: ChunkStats
  /** Its worker threads, while it has some. */
  readonly workers?: WorkerStats | undefined
  /** Handshakes, of a server with `tls`. */
  readonly tls?: HandshakeStats | undefined
}

/** The TLS handshakes of a server. */
export interface HandshakeStats {
  /**
   * Connections in their handshake now, and those whose handshake has failed, until their peers end. They count against
   * `maxConnections`, and not in `connections`.
   */
  readonly handshaking: number
  /** Handshakes that have failed since the start. */
  readonly failed: number
}
