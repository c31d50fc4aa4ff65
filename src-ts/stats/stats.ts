import { openLoops } from '../poller/pollers'
import { openListeners } from '../server/listener'
import type { ChunkStats } from '../native/binding'
import { sharedMemory } from '../memory/thread-memory'

/** What a thread holds, and the memory of messages. */
export interface ThreadStats {
  /** Connections of all servers and dialers of this thread, those that are being dialed or closed included. */
  readonly connections: number
  /** Servers of this thread that listen. */
  readonly listeners: number
  /**
   * Abandoned calls of those connections whose late replies can still arrive. Each costs its id, or a place in a count if
   * replies come in order.
   */
  readonly lostCalls: number
  /** Memory of messages, of the whole process; `pinned` of this thread. */
  readonly chunks: ChunkStats
}

/**
 * What this thread holds now. Each worker thread has connections and listeners of its own.
 *
 * @throws NetpollError `ERR_UNSUPPORTED` where the host is not Node.js
 */
export function stats(): ThreadStats {
  let connections = 0
  let lostCalls = 0
  for (const loop of openLoops()) {
    connections += loop.connections
    lostCalls += loop.lostCalls
  }
  return {
    connections,
    listeners: openListeners.count,
    lostCalls,
    chunks: sharedMemory().native.chunkStats(),
  }
}
