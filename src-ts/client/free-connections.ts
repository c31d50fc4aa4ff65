import * as clock from '../time/clock'
import { LazyTimer } from '../time/lazy-timer'
import type { CheckedPoolOptions } from './pool-options'
import { PooledState, type PooledConnection } from './pooled-connection'

/** The connections of a pool that no caller uses, and how long they may stay. */
export class FreeConnections {
  readonly #options: CheckedPoolOptions
  /** The connection that became free last is used first. */
  readonly #stack: PooledConnection[] = []
  readonly #sweep = new LazyTimer((now) => this.#sweepFree(now))
  readonly #letGo: (pooled: PooledConnection) => void
  readonly #swept: () => void

  /** `letGo` is given each connection whose time is over, and `swept` is called after some were looked at. */
  constructor(options: CheckedPoolOptions, letGo: (pooled: PooledConnection) => void, swept: () => void) {
    this.#options = options
    this.#letGo = letGo
    this.#swept = swept
  }

  get length(): number {
    return this.#stack.length
  }

  /** Connections that are to be dialed until as many are free as the options say. */
  get missing(): number {
    return Math.max(0, this.#options.minIdle - this.#stack.length)
  }

  /** Whether a connection is as it was, and may be used by another caller. */
  isUsable(pooled: PooledConnection): boolean {
    const ages = this.#options.maxLifetime > 0
    const { connection } = pooled
    const isFree = connection.isClean && connection.takesCalls && !connection.isCongested
    return isFree && !(ages && this.#endOfLife(pooled) <= clock.now())
  }

  push(pooled: PooledConnection): void {
    const now = clock.now()
    pooled.state = PooledState.Free
    pooled.freeSince = now
    pooled.connection.unref()
    this.#stack.push(pooled)
    this.#sweep.arm(this.#expiry(pooled))
  }

  pop(): PooledConnection | undefined {
    return this.#stack.pop()
  }

  remove(pooled: PooledConnection): void {
    const index = this.#stack.indexOf(pooled)
    if (index >= 0) this.#stack.splice(index, 1)
  }

  /** Takes out all of them, and looks at none any more. */
  takeAll(): readonly PooledConnection[] {
    this.#sweep.stop()
    return this.#stack.splice(0)
  }

  /** When a free connection is to be closed, if it is one of more than `minIdle`. */
  #expiry(pooled: PooledConnection): number {
    const { maxIdleTime } = this.#options
    const idle = maxIdleTime === 0 ? Number.POSITIVE_INFINITY : pooled.freeSince + maxIdleTime
    return Math.min(idle, this.#endOfLife(pooled))
  }

  #endOfLife({ established }: PooledConnection): number {
    const { maxLifetime } = this.#options
    return maxLifetime === 0 ? Number.POSITIVE_INFINITY : established + maxLifetime
  }

  /** Closes free connections whose time is over; returns when to look again. */
  #sweepFree(now: number): number {
    const { minIdle } = this.#options
    let next = Number.POSITIVE_INFINITY
    // Those that have been free longest are first.
    for (const pooled of [...this.#stack]) {
      const isSpare = this.#stack.length > minIdle
      const end = isSpare ? this.#expiry(pooled) : this.#endOfLife(pooled)
      if (end <= now || !pooled.connection.isClean) {
        this.remove(pooled)
        this.#letGo(pooled)
      } else {
        next = Math.min(next, end)
      }
    }
    this.#swept()
    return next
  }
}
