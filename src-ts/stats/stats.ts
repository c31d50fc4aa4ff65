import { livePollers } from '../poller/pollers'
import { openListeners } from '../server/listener'
import type { ChunkStats } from '../native/binding'
import { threadMemory } from '../memory/thread-memory'

/** Counts of a thread, and of the memory of messages. */
export interface ThreadStats {
  /** Connections of all servers and dialers of this thread, including those that are being dialed or closed. */
  readonly connections: number
  /** Listening servers of this thread. */
  readonly listeners: number
  /**
   * Abandoned calls of those connections whose late replies can still arrive. Each costs its id, or a place in a count if
   * replies come in order.
   */
  readonly lostCalls: number
  /** Memory of messages in the whole process; `pinned` and `outgoing` concern this thread. */
  readonly chunks: ChunkStats
}

/**
 * The current counts of this thread. Each worker thread has its own connections and listeners.
 *
 * @throws NetpollError `ERR_UNSUPPORTED` if the host is not Node.js
 *
 * @example
 * ```ts
 * import { createServer, lengthField, stats } from 'netpoll'
 *
 * const server = createServer({ framing: lengthField({ size: 4 }) }, (request) => request)
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 * console.log(stats().listeners, stats().connections) // 1 0
 * ```
 */
export function stats(): ThreadStats {
  let connections = 0
  let lostCalls = 0
  for (const poller of livePollers()) {
    connections += poller.connections
    lostCalls += poller.lostCalls
  }
  return {
    connections,
    listeners: openListeners.count,
    lostCalls,
    chunks: threadMemory().native.chunkStats(),
  }
}
