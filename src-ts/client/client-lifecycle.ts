import type { NetpollError } from '../errors'
import { leaks } from '../leaks/watch-list'
import { stepBudget } from '../time/step-budget'
import { type CloseOptions, closeTimeout } from '../time/close-options'
import { clearTimeout, setTimeout } from '../time/timers'

/** A pool or mux, as its lifecycle sees it. */
export interface ClosableClient {
  /** Whether no connection, no dial and no waiting call is left. */
  isEmpty(): boolean
  /** Lets go of what is free: nothing new begins from now on. */
  beginClose(): void
  /** The time is up: nothing waits any longer, and the connections end at once. */
  destroyAll(): void
  /** Nothing is left. */
  stop(): void
  /** What calls get from now on. */
  closedError(): NetpollError
}

/** Where a pool or mux is between its first call and its last connection. */
export class ClientLifecycle {
  readonly #client: ClosableClient
  readonly #whenEmpty: (() => void)[] = []
  #hasEnded = false
  #state: 'open' | 'closing' | 'destroyed' = 'open'

  constructor(client: ClosableClient) {
    this.#client = client
    leaks?.opened()
  }

  /** As users are shown it. */
  get state(): 'open' | 'closing' | 'closed' {
    return this.#state === 'destroyed' ? 'closed' : this.#state
  }

  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Whether its connections end at once. */
  get isDestroyed(): boolean {
    return this.#state === 'destroyed'
  }

  /** @throws NetpollError `ERR_POOL_CLOSED` or `ERR_MUX_CLOSED` once `close` was called */
  checkOpen(): void {
    if (this.#state !== 'open') throw this.#client.closedError()
  }

  /** Waits until nothing is left; after `timeout` milliseconds what is left is destroyed. */
  async close(options: CloseOptions): Promise<void> {
    const timeout = closeTimeout(options)
    if (this.#state === 'open') {
      this.#state = 'closing'
      this.#client.beginClose()
    }
    if (!this.#client.isEmpty()) {
      const timer = timeout === undefined ? undefined : setTimeout(() => this.#destroyAll(), timeout)
      await new Promise<void>((resolve) => this.#whenEmpty.push(resolve))
      clearTimeout(timer)
    }
    this.#state = 'destroyed'
    this.#ended()
    this.#client.stop()
    await stepBudget.pass()
  }

  /** Something is over. If nothing is left, closing is over, too. */
  followEmpty(): void {
    if (this.#client.isEmpty()) for (const done of this.#whenEmpty.splice(0)) done()
  }

  #ended(): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    leaks?.closed()
  }

  #destroyAll(): void {
    this.#state = 'destroyed'
    this.#client.destroyAll()
  }
}
