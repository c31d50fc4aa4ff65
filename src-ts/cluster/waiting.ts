import { forgetSignal, QueueEntry, reasonOf, type WaitQueue } from '../extension'

/** A call that waits until a server is ready. */
export class Waiting extends QueueEntry {
  readonly deadline: number
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void
  readonly #timedOut: () => unknown
  readonly #signal: AbortSignal | undefined
  readonly #aborted: () => void

  /** `timedOut` makes the error of a call whose deadline has passed. */
  constructor(
    queue: WaitQueue<Waiting>,
    { deadline, signal }: { readonly deadline: number; readonly signal: AbortSignal | undefined },
    resolve: () => void,
    reject: (error: unknown) => void,
    timedOut: () => unknown,
  ) {
    super()
    this.deadline = deadline
    this.#resolve = resolve
    this.#reject = reject
    this.#timedOut = timedOut
    this.#signal = signal
    this.#aborted = () => {
      if (!this.isQueued) return
      this.fail(reasonOf(signal))
      queue.leave(this)
    }
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  /** A server may be ready. */
  serve(): void {
    forgetSignal(this.#signal, this.#aborted)
    this.#resolve()
  }

  fail(error: unknown): void {
    forgetSignal(this.#signal, this.#aborted)
    this.#reject(error)
  }

  expire(): void {
    this.fail(this.#timedOut())
  }
}
