import { forgetSignal, reasonOf } from '../abort'
import { stepBudget } from '../time/step-budget'
import type { CheckedGetOptions } from './get-options'
import { poolTimeout } from './pool-errors'
import type { PooledConnection } from './pooled-connection'
import type { WaitQueue } from './wait-queue'
import { ConnectionWaiter } from './waiting-call'

/** A user that waits for a connection to use it. */
export class WaitingUser extends ConnectionWaiter<PooledConnection> {
  readonly deadline: number
  readonly #lend: (pooled: PooledConnection) => void
  readonly #reject: (error: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #aborted: () => void
  /** Whether it was aborted, or failed. */
  isOver = false

  constructor(
    queue: WaitQueue<ConnectionWaiter<PooledConnection>>,
    { deadline, signal }: CheckedGetOptions,
    lend: (pooled: PooledConnection) => void,
    reject: (error: unknown) => void,
  ) {
    super()
    this.deadline = deadline
    this.#lend = lend
    this.#reject = reject
    this.#signal = signal
    this.#aborted = () => {
      // It leaves at once, and its promise is over at the pace of this thread.
      this.#end((error) => stepBudget.reject(reject, error), reasonOf(signal))
      queue.leave(this)
    }
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  serve(pooled: PooledConnection): void {
    forgetSignal(this.#signal, this.#aborted)
    this.#lend(pooled)
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
    this.fail(poolTimeout())
  }
}
