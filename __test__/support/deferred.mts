/** A promise that is settled from outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

/** `Promise.withResolvers`, which Node.js 20 lacks. */
export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

/** What happened, in order, for a test that waits for the next. */
export class Inbox<T> {
  readonly all: T[] = []
  #taken = 0
  #wake = deferred()

  readonly push = (value: T): void => {
    this.all.push(value)
    this.#wake.resolve()
    this.#wake = deferred()
  }

  /** The oldest that was not taken yet. */
  async take(): Promise<T> {
    await this.reach(this.#taken + 1)
    this.#taken += 1
    return this.all[this.#taken - 1] as T
  }

  /** Waits until so many have come in all. */
  async reach(count: number): Promise<readonly T[]> {
    while (this.all.length < count) await this.#wake.promise
    return this.all
  }
}

/** Lets the event loop turn once, timers and sockets included. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Turns the event loop until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn()
}
