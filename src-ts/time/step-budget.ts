import { setImmediate } from './timers'

/** Most bytes that a thread queues before the event loop has its turn. */
const maxBytes = 4 * 1024 * 1024
/** Most sends, flushes, and promises that are over at once, before the event loop has its turn. */
const maxSteps = 1_024
/** Steps that a refusal counts for beside its own: the error that is made for it costs as much as so many sends. */
const stepsOfRefusal = 7

/**
 * What this thread has done since its event loop last turned. A promise that is over at once costs its loop a microtask and
 * nothing else. So user code could go on for ever, and no timer, no socket and no end of a connection would be seen.
 * Beyond a bound, everything waits until the loop has turned.
 *
 * Below the bound a step costs a look at a word that the core writes, and two additions: nothing is allocated or called.
 */
export class StepBudget {
  /** Of the host's own, where the core cannot count: the same count, kept by an immediate. */
  #turns: Int32Array = new Int32Array(1)
  #index = 0
  #isCountedByCore = false
  /** What the count was when this turn began. */
  #seen = -1
  #turn = 0
  #bytes = 0
  #steps = 0
  #waiting: (() => void)[] = []
  #turned: Promise<void> | undefined

  /** From now on the core counts turns in `words[index]`. */
  countedByCore(words: Int32Array, index: number): void {
    this.#turns = words
    this.#index = index
    this.#isCountedByCore = true
  }

  /** The turn of the last {@link step}. */
  get turn(): number {
    return this.#turn
  }

  /** Whether a turn that {@link turn} has named is not over. */
  isNow(turn: number): boolean {
    return turn === this.#turn && this.#turns[this.#index] === this.#seen
  }

  /** Whether nothing more may be over before the event loop has turned. */
  get isSpent(): boolean {
    return (this.#steps >= maxSteps || this.#bytes >= maxBytes) && this.isNow(this.#turn)
  }

  /** Something was done that need not be waited for; `bytes` were queued by it. */
  step(bytes: number): void {
    if (this.#turns[this.#index] !== this.#seen) this.#begin()
    this.#steps += 1
    this.#bytes += bytes
  }

  /** As {@link step}; returns what to wait for, where there is something. */
  pass(): Promise<void> | undefined {
    this.step(0)
    if (!this.isSpent) return undefined
    this.#turned ??= new Promise((resolve) => this.wait(resolve))
    return this.#turned
  }

  /** Has `work` done as one {@link step}: at once, or once the event loop has turned. */
  settle(work: () => void): void {
    this.step(0)
    if (this.isSpent) this.wait(work)
    else work()
  }

  /** Calls `reject` with `error`: at once, or once the event loop has turned. Refusals are over at once, too. */
  reject(reject: (error: unknown) => void, error: unknown): void {
    this.step(0)
    this.#steps += stepsOfRefusal
    if (this.isSpent) this.wait(() => reject(error))
    else reject(error)
  }

  /** A promise that is rejected so. */
  refuse(error: unknown): Promise<never> {
    return new Promise((_resolve, reject) => this.reject(reject, error))
  }

  /** Does `work`, and has its failure told at the pace of this thread. */
  async attempt<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      return await this.refuse(error)
    }
  }

  /** Calls `proceed`, which must not throw, once the event loop has turned. Keeps the process alive until then. */
  wait(proceed: () => void): void {
    this.#waiting.push(proceed)
    if (this.#waiting.length === 1) setImmediate(this.#proceed)
  }

  readonly #proceed = (): void => {
    const waiting = this.#waiting
    this.#waiting = []
    this.#turned = undefined
    this.#begin()
    for (const proceed of waiting) proceed()
  }

  /** A turn begins. */
  #begin(): void {
    this.#seen = this.#turns[this.#index] as number
    this.#turn += 1
    this.#bytes = 0
    this.#steps = 0
    if (!this.#isCountedByCore) setImmediate(this.#count).unref()
  }

  readonly #count = (): void => {
    if (!this.#isCountedByCore) this.#turns[0] = ((this.#turns[0] as number) + 1) % 2 ** 31
  }
}

/** One for all connections of this thread, in whatever event loop they lie. */
export const stepBudget = new StepBudget()
