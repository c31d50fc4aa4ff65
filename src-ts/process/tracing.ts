import { type Channel, channel } from 'node:diagnostics_channel'

import { whenOver } from '../checks/promises'
import { isThenable, whenSettled } from '../checks/thenables'

/** What subscribers get, as of a `TracingChannel`: what the event is about, and from its end on how it ended. */
export interface Traced {
  readonly [about: string]: unknown
  /** What it ended with. */
  result?: unknown
  /** What it failed with. */
  error?: unknown
}

/**
 * Begin and end of something, told as a `TracingChannel` of that name tells it: `tracingChannel(name)` subscribes. The events
 * are `start` and `end` of the part that runs at once, `asyncStart` and `asyncEnd` once its promise is settled, and `error`.
 * What is entered by `start.bindStore` is what the work sees.
 *
 * Without subscribers it costs a look at {@link hasSubscribers}, and nothing is allocated.
 */
export class Tracing {
  readonly #start: Channel
  readonly #end: Channel
  readonly #asyncStart: Channel
  readonly #asyncEnd: Channel
  readonly #error: Channel

  constructor(name: string) {
    this.#start = channel(`tracing:${name}:start`)
    this.#end = channel(`tracing:${name}:end`)
    this.#asyncStart = channel(`tracing:${name}:asyncStart`)
    this.#asyncEnd = channel(`tracing:${name}:asyncEnd`)
    this.#error = channel(`tracing:${name}:error`)
  }

  get hasSubscribers(): boolean {
    return (
      this.#start.hasSubscribers ||
      this.#end.hasSubscribers ||
      this.#asyncStart.hasSubscribers ||
      this.#asyncEnd.hasSubscribers ||
      this.#error.hasSubscribers
    )
  }

  /** Does work that returns a promise of ours; the promise that this returns is settled as that is. */
  promise<Result>(about: Traced, work: () => Promise<Result>): Promise<Result> {
    return this.#run(about, () => {
      const pending = work()
      return new Promise((resolve, reject) => {
        whenOver(
          pending,
          (result) => this.#settled(about, { result }, () => resolve(result)),
          (error) => this.#settled(about, { error }, () => reject(error)),
        )
      })
    })
  }

  /** As {@link promise}, of users' code, which returns or throws whatever it likes. What is no promise stays none. */
  result(about: Traced, work: () => unknown): unknown {
    return this.#run(about, () => {
      const result = work()
      if (!isThenable(result)) {
        about.result = result
        return result
      }
      return new Promise((resolve, reject) => {
        whenSettled(
          result,
          (value) => this.#settled(about, { result: value }, () => resolve(value)),
          (error) => this.#settled(about, { error }, () => reject(error)),
        )
      })
    })
  }

  #run<Result>(about: Traced, work: () => Result): Result {
    return this.#start.runStores(about, () => {
      try {
        return work()
      } catch (error) {
        about.error = error
        this.#error.publish(about)
        throw error
      } finally {
        this.#end.publish(about)
      }
    }) as Result
  }

  #settled(about: Traced, outcome: Traced, settle: () => void): void {
    Object.assign(about, outcome)
    if ('error' in outcome) this.#error.publish(about)
    this.#asyncStart.publish(about)
    settle()
    this.#asyncEnd.publish(about)
  }
}

/** Calls of connections, pools and muxes. */
export const calls = new Tracing('netpoll.call')

/** Messages in their handlers. */
export const requests = new Tracing('netpoll.request')
