import * as clock from '../time/clock'
import { LazyTimer } from '../time/lazy-timer'

/** A mux, as far as its connections are closed by time alone. */
export interface AgingClient {
  /** Whether calls wait for a reply or a connection. */
  isBusy(): boolean
  /** No call has used any connection for too long. */
  closeIdle(): void
  /** Has connections replaced whose end of life is no later than `now`; returns that of the next, `Infinity` for none. */
  replaceAged(now: number): number
}

/** How long the connections of a mux may stay: `maxLifetime` and `maxIdleTime`. */
export class MuxUpkeep {
  readonly #client: AgingClient
  readonly #maxLifetime: number
  readonly #maxIdleTime: number
  readonly #ages = new LazyTimer((now) => this.#client.replaceAged(now))
  readonly #idle = new LazyTimer((now) => this.#closeIdle(now))
  /** When the last call or send ended; `undefined` where the next connection, or the end of a call, is to begin anew. */
  #idleSince: number | undefined

  constructor(
    { maxLifetime, maxIdleTime }: { readonly maxLifetime: number; readonly maxIdleTime: number },
    client: AgingClient,
  ) {
    this.#maxLifetime = maxLifetime
    this.#maxIdleTime = maxIdleTime
    this.#client = client
  }

  /** A connection was established; returns when it is to be replaced. A part is by chance: not all are to go at once. */
  established(): number {
    if (this.#idleSince === undefined) this.used()
    if (this.#maxLifetime === 0) return Number.POSITIVE_INFINITY
    const end = clock.now() + this.#maxLifetime * (1 - Math.random() / 10)
    this.#ages.arm(end)
    return end
  }

  /** A call or send has ended, or connections are to be there. */
  used(): void {
    if (this.#maxIdleTime === 0) return
    this.#idleSince = clock.now()
    this.#idle.arm(this.#idleSince + this.#maxIdleTime)
  }

  stop(): void {
    this.#ages.stop()
    this.#idle.stop()
  }

  /** Returns when to look again. While the client is busy, the end of its last call says, or the connection that it waits for. */
  #closeIdle(now: number): number {
    if (this.#client.isBusy()) this.#idleSince = undefined
    if (this.#idleSince === undefined) return Number.POSITIVE_INFINITY
    const end = this.#idleSince + this.#maxIdleTime
    if (end > now) return end
    this.#idleSince = undefined
    this.#client.closeIdle()
    return Number.POSITIVE_INFINITY
  }
}
