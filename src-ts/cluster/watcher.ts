import { clearTimeout, refusePromise, setTimeout, stepBudget, Backoff } from '../extension'
import type { Endpoint } from './endpoint'
import { type CheckedEndpoint, checkEndpoint } from './endpoint'
import { ignore, isThenable, whenSettled } from '../checks/thenables'
import { invalidType, NetpollError } from '../errors'
import type { Resolver } from './resolver'

const { freeze } = Object

/** Endpoints of a list, at most: more are a mistake. */
const maxEndpoints = 65_536

/** A cluster, as what follows its resolver sees it. */
export interface WatcherListener {
  /** Throws for an endpoint that the cluster cannot connect to. */
  check(endpoint: CheckedEndpoint): void
  /** A list of all servers, of which there is at least one. */
  found(endpoints: readonly CheckedEndpoint[]): void
  /** An endpoint is none, or the resolver has failed. */
  failed(error: unknown): void
}

/** Follows a resolver: what is found stays until something else is. */
export class Watcher {
  readonly #resolver: Resolver
  readonly #listener: WatcherListener
  readonly #abandonment = new AbortController()
  readonly #backoff = new Backoff({ min: 100, max: 4_000 })
  #timer: NodeJS.Timeout | undefined
  #hasFound = false

  constructor(resolver: Resolver, listener: WatcherListener) {
    this.#resolver = resolver
    this.#listener = listener
  }

  /** Watches, until {@link stop} or until the resolver has no more to say. */
  start(): void {
    void this.#watch()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#abandonment.abort()
  }

  /** A server was lost. */
  refresh(): void {
    try {
      const result: unknown = this.#resolver.refresh?.()
      if (isThenable(result)) whenSettled(result, ignore, (error) => this.#failed(error))
    } catch (error) {
      this.#failed(error)
    }
  }

  /** An error after the end of the cluster is told no more. */
  #failed(error: unknown): void {
    if (!this.#isStopped) this.#listener.failed(error)
  }

  get #isStopped(): boolean {
    return this.#abandonment.signal.aborted
  }

  async #watch(): Promise<void> {
    try {
      const lists = this.#resolver.watch(this.#abandonment.signal)
      refusePromise('resolver.watch', lists)
      for await (const endpoints of lists) {
        if (this.#isStopped) return
        this.#take(endpoints)
        this.#backoff.reset()
        // One that has always something to say is to let the event loop turn.
        await stepBudget.pass()
      }
      if (!this.#hasFound)
        throw new NetpollError('ERR_NO_ENDPOINT', 'The resolver has ended without a server')
    } catch (error) {
      if (this.#isStopped) return
      this.#timer = setTimeout(() => void this.#watch(), Math.ceil(this.#backoff.delay()))
      this.#timer.unref()
      this.#listener.failed(error)
    }
  }

  /** An empty list is no news: servers may be gone from a registry that has just restarted. */
  #take(endpoints: readonly Endpoint[]): void {
    if (!Array.isArray(endpoints) || endpoints.length > maxEndpoints) {
      const expected = `an array of at most ${maxEndpoints} endpoints`
      throw invalidType('endpoints', expected, endpoints)
    }
    const checked: CheckedEndpoint[] = []
    for (const endpoint of endpoints) {
      try {
        const one = checkEndpoint(endpoint)
        this.#listener.check(one)
        checked.push(one)
      } catch (error) {
        this.#listener.failed(error)
      }
    }
    if (checked.length === 0) return
    this.#hasFound = true
    // Subscribers get it, too.
    this.#listener.found(freeze(checked))
  }
}
