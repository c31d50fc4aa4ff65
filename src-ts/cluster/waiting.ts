import { forgetSignal, QueueEntry, reasonOf, type WaitQueue } from '../extension'
import type { ClusterCall } from './call'

/** A call that waits until a server is ready. */
export class Waiting extends QueueEntry {
  readonly call: ClusterCall
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void
  readonly #timedOut: () => unknown
  readonly #aborted: () => void

  /** `timedOut` makes the error of a call whose deadline has passed. */
  constructor(
    queue: WaitQueue<Waiting>,
    call: ClusterCall,
    resolve: () => void,
    reject: (error: unknown) => void,
    timedOut: () => unknown,
  ) {
    super()
    const { signal } = call
    this.call = call
    this.#resolve = resolve
    this.#reject = reject
    this.#timedOut = timedOut
    this.#aborted = () => {
      if (!this.isQueued) return
      this.fail(reasonOf(signal))
      queue.leave(this)
    }
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  /** When it is given up, on our clock. */
  get deadline(): number {
    return this.call.deadline
  }

  /** A server may be ready. */
  serve(): void {
    forgetSignal(this.call.signal, this.#aborted)
    this.#resolve()
  }

  fail(error: unknown): void {
    forgetSignal(this.call.signal, this.#aborted)
    this.#reject(error)
  }

  expire(): void {
    this.fail(this.#timedOut())
  }
}
