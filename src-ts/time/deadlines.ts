/** A waiter with a deadline. */
export interface Timed {
  /** When it is given up, on our clock. */
  readonly deadline: number
  /** Whether it has what it waited for, or waits no longer. */
  readonly isSettled: boolean
}

/** So many that are settled may stay, however few wait. */
const spare = 32

/** So many are given up before their promises and the event loop have their turn, which is some milliseconds' work. */
const maxAtOnce = 500

/**
 * Waiters by their deadlines: a binary heap, whose top has the earliest one. A settled waiter stays in its place until it
 * comes to the top, or until the settled waiters outnumber the others. So settling a waiter costs a count. Adding the
 * waiter with the latest deadline costs a comparison; calls with one timeout do so.
 */
export class Deadlines<T extends Timed> {
  // Beside each other, because looking into each of 100,000 objects for its deadline costs a multiple.
  #times: number[] = []
  #heap: T[] = []
  /** Those who wait. */
  #waiting = 0

  /** Adds a waiter with a finite deadline, which reports once by {@link settled}. */
  add(timed: T): void {
    this.#waiting += 1
    this.#times.push(timed.deadline)
    this.#heap.push(timed)
    this.#rise(this.#heap.length - 1)
  }

  /** One of those who were added waits no longer. */
  settled(): void {
    this.#waiting -= 1
    if (this.#waiting === 0) this.#clear()
    else if (this.#heap.length > 2 * this.#waiting + spare) this.#sweep()
  }

  /**
   * Takes out the waiters whose deadline is at or before `due`, the earliest first, and passes each to `expire`, which
   * settles it. Returns the next deadline, `Infinity` for none. Of very many waiters it takes out a part, and returns a
   * deadline that is due. So the earliest waiter does not wait for all others.
   */
  expire(due: number, expire: (timed: T) => void): number {
    let room = maxAtOnce
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      const deadline = this.#times[0] as number
      if (!first.isSettled) {
        if (deadline > due || room === 0) return deadline
        room -= 1
      }
      this.#removeFirst()
      if (!first.isSettled) expire(first)
    }
    return Number.POSITIVE_INFINITY
  }

  /** One call at a time is the usual case, and takes no new memory. */
  #clear(): void {
    if (this.#heap.length > 1) {
      this.#heap = []
      this.#times = []
    } else {
      this.#heap.pop()
      this.#times.pop()
    }
  }

  #removeFirst(): void {
    const last = this.#heap.pop()
    const time = this.#times.pop()
    if (last === undefined || time === undefined || this.#heap.length === 0) return
    this.#heap[0] = last
    this.#times[0] = time
    this.#sink(0)
  }

  /** Lets go of those who are settled. */
  #sweep(): void {
    this.#heap = this.#heap.filter(({ isSettled }) => !isSettled)
    this.#times = this.#heap.map(({ deadline }) => deadline)
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at -= 1) this.#sink(at)
  }

  #rise(from: number): void {
    const heap = this.#heap
    const times = this.#times
    const timed = heap[from] as T
    const time = times[from] as number
    let at = from
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = times[above] as number
      if (parent <= time) break
      heap[at] = heap[above] as T
      times[at] = parent
      at = above
    }
    heap[at] = timed
    times[at] = time
  }

  #sink(from: number): void {
    const heap = this.#heap
    const times = this.#times
    const timed = heap[from] as T
    const time = times[from] as number
    const { length } = times
    let at = from
    for (;;) {
      let below = 2 * at + 1
      if (below >= length) break
      if (below + 1 < length && (times[below + 1] as number) < (times[below] as number)) below += 1
      const earliest = times[below] as number
      if (time <= earliest) break
      heap[at] = heap[below] as T
      times[at] = earliest
      at = below
    }
    heap[at] = timed
    times[at] = time
  }
}
