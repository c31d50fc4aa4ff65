import { Deadlines } from '../time/deadlines'
import { LazyTimer } from '../time/lazy-timer'

/** Somebody who waits in a {@link WaitQueue}. */
export abstract class Waiter {
  /** @internal */
  next: Waiter | undefined
  /** @internal */
  previous: Waiter | undefined
  /** @internal */
  isQueued = false
  /** When it is given up, on our clock; `Infinity` for never. */
  abstract readonly deadline: number

  /** Its deadline has passed at `now`. It has left the queue. */
  abstract expire(now: number): void

  /** @internal Whether it has left the queue. */
  get isSettled(): boolean {
    return !this.isQueued
  }
}

/** First come, first served; everyone waits as long as they want to. */
export class WaitQueue<W extends Waiter> {
  readonly #left: () => void
  readonly #timer = new LazyTimer((now) => this.#expire(now))
  readonly #deadlines = new Deadlines<W>()
  #first: W | undefined
  #last: W | undefined
  #length = 0

  /** `left` is called when somebody was not served: has given up, or waited too long. */
  constructor(left: () => void) {
    this.#left = left
  }

  get length(): number {
    return this.#length
  }

  push(waiter: W): void {
    waiter.isQueued = true
    waiter.previous = this.#last
    if (this.#last === undefined) this.#first = waiter
    else this.#last.next = waiter
    this.#last = waiter
    this.#length += 1
    if (waiter.deadline === Number.POSITIVE_INFINITY) return
    this.#deadlines.add(waiter)
    this.#timer.arm(waiter.deadline)
  }

  /** Takes out who has waited longest. */
  shift(): W | undefined {
    const waiter = this.#first
    if (waiter !== undefined) this.#remove(waiter)
    return waiter
  }

  /** Somebody gives up waiting, who may have been served already. */
  leave(waiter: W): void {
    if (!waiter.isQueued) return
    this.#remove(waiter)
    this.#left()
  }

  /** Takes out everyone for whom `isMeant` holds, in order. */
  takeAll(isMeant: (waiter: W) => boolean = () => true): readonly W[] {
    const taken: W[] = []
    for (let waiter = this.#first; waiter !== undefined; ) {
      const next = waiter.next as W | undefined
      if (isMeant(waiter)) {
        this.#remove(waiter)
        taken.push(waiter)
      }
      waiter = next
    }
    return taken
  }

  /** Nobody will wait any more. */
  stop(): void {
    this.#timer.stop()
  }

  #remove(waiter: W): void {
    const { previous, next } = waiter
    if (previous === undefined) this.#first = next as W | undefined
    else previous.next = next
    if (next === undefined) this.#last = previous as W | undefined
    else next.previous = previous
    waiter.next = undefined
    waiter.previous = undefined
    waiter.isQueued = false
    this.#length -= 1
    if (waiter.deadline !== Number.POSITIVE_INFINITY) this.#deadlines.settled()
  }

  #expire(now: number): number {
    let hasExpired = false
    const next = this.#deadlines.expire(now, (waiter) => {
      hasExpired = true
      this.#remove(waiter)
      waiter.expire(now)
    })
    if (hasExpired) this.#left()
    return next
  }
}
