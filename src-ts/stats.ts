import { openLoops } from './event-loops'
import { openListeners } from './listen'
import type { ChunkStats } from './native'
import { sharedMemory } from './shared-memory'

/** What a thread holds, and the memory of messages. */
export interface ThreadStats {
  /** Connections of all servers and dialers of this thread, those that are being dialed or closed included. */
  readonly connections: number
  /** Servers of this thread that listen. */
  readonly listeners: number
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
  for (const loop of openLoops()) connections += loop.connections
  return { connections, listeners: openListeners.count, chunks: sharedMemory().native.chunkStats() }
}
