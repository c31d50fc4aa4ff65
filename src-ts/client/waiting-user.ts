import { forgetSignal, reasonOf } from '../abort'
import { stepBudget } from '../time/step-budget'
import type { CheckedGetOptions } from './get-options'
import type { WaitQueue } from './wait-queue'
import { type CallTarget, ConnectionWaiter } from './waiting-call'

/** A user that waits for a connection, to use it or to know that there is one. */
export class WaitingUser<P extends CallTarget> extends ConnectionWaiter<P> {
  readonly deadline: number
  readonly #lend: (target: P) => void
  readonly #reject: (error: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #aborted: () => void
  readonly #timeoutError: () => unknown
  /** Whether it was aborted, or failed. */
  isOver = false

  constructor(
    queue: WaitQueue<ConnectionWaiter<P>>,
    { deadline, signal }: CheckedGetOptions,
    lend: (target: P) => void,
    reject: (error: unknown) => void,
    timeoutError: () => unknown,
  ) {
    super()
    this.deadline = deadline
    this.#lend = lend
    this.#reject = reject
    this.#signal = signal
    this.#timeoutError = timeoutError
    this.#aborted = () => {
      // It leaves at once, and its promise is over at the pace of this thread.
      this.#end((error) => stepBudget.reject(reject, error), reasonOf(signal))
      queue.leave(this)
    }
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  override get isPatient(): boolean {
    return true
  }

  serve(target: P): void {
    forgetSignal(this.#signal, this.#aborted)
    this.#lend(target)
  }

  fail(error: unknown): void {
    this.#end(this.#reject, error)
  }

  #end(reject: (error: unknown) => void, error: unknown): void {
    if (this.isOver) return
    this.isOver = true
    forgetSignal(this.#signal, this.#aborted)
    reject(error)
  }

  expire(): void {
    this.fail(this.#timeoutError())
  }
}
