import { forgetSignal, reasonOf, takeSignal, throwIfAborted } from '../abort'
import { optionNames, refuseUnknown } from '../checks/known-options'
import { stepBudget } from '../time/step-budget'
import { deadlineOf, endOf, timeLimit } from '../time/time-limits'
import { poolTimeout } from './pool-errors'
import type { PooledConnection } from './pooled-connection'
import type { WaitQueue } from './wait-queue'
import { ConnectionWaiter } from './waiting-call'

/** Options of `pool.get`. */
export interface GetOptions {
  /** Milliseconds to wait until `ERR_POOL_TIMEOUT`, 0 for ever. Default: `waitTimeout`. */
  readonly timeout?: number | undefined
  /** When whoever waits gives up at the latest, a `Date` or milliseconds since the epoch. Default: none. */
  readonly deadline?: Date | number | undefined
  /** Gives up waiting, and rejects with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined
}

const getOptionNames = optionNames<GetOptions>({ timeout: true, deadline: true, signal: true })

/** {@link GetOptions} after checking. */
export interface CheckedGetOptions {
  /** What the option `deadline` says, on our clock; `Infinity` without one. */
  readonly latest: number
  /** When waiting is given up, on our clock. */
  readonly deadline: number
  readonly signal: AbortSignal | undefined
}

/**
 * Checks the options of `pool.get`.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; the signal's reason
 */
export function checkGetOptions(options: GetOptions, waitTimeout: number): CheckedGetOptions {
  refuseUnknown('options', options, getOptionNames)
  const { signal: givenSignal, timeout: limit, deadline: latestTime } = options
  const timeout = timeLimit('options.timeout', limit, waitTimeout)
  const latest = deadlineOf('options.deadline', latestTime)
  const signal = takeSignal(givenSignal)
  throwIfAborted(signal)
  return { latest, deadline: Math.min(endOf(timeout), latest), signal }
}

/** Somebody who waits for a connection to use it. */
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
