/** What a pool or mux holds now; the words are those of undici. */
export interface PoolStats {
  /** Connections that are established and may be used. */
  readonly connected: number
  /** Those of them that no caller uses. */
  readonly free: number
  /** Callers that wait for a connection. */
  readonly pending: number
  /** Those of them for whom no connection is being dialed. */
  readonly queued: number
  /** Connections that a user has got, and calls that wait for their reply. */
  readonly running: number
  /** All of them: `pending` and `running`. */
  readonly size: number
}

/** With the sum, which users of undici look for. */
export function withSize(counts: Omit<PoolStats, 'size'>): PoolStats {
  return { ...counts, size: counts.pending + counts.running }
}
