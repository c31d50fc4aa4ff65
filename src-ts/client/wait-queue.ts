import { originOf } from '../leaks/origin'
import { leaks, type WatchList } from '../leaks/watch-list'
import { alwaysOwed, type Look, type Watched, WatchedDebt } from '../leaks/watched'
import { Deadlines } from '../time/deadlines'
import { LazyTimer } from '../time/lazy-timer'
import { overdue } from '../time/overdue'

/** A caller that waits in a {@link WaitQueue}. */
export abstract class QueueEntry {
  /** @internal */
  next: QueueEntry | undefined
  /** @internal */
  previous: QueueEntry | undefined
  /** @internal */
  isQueued = false
  /** @internal */
  watched: Watched | undefined
  /** When it is given up, on our clock; `Infinity` for never. */
  abstract readonly deadline: number

  /** Its deadline has passed at `now`. It has left the queue. */
  abstract expire(now: number): void

  /** @internal Whether it has left the queue. */
  get isSettled(): boolean {
    return !this.isQueued
  }

  /**
   * @internal What it waits for, where the detector of leaks is to know: a message that is not sent, and that it sees nowhere
   * else.
   */
  get awaited(): string | undefined {
    return undefined
  }

  /** @internal The frames of the code that has made it, where that does not run when it begins to wait. */
  get caller(): string | undefined {
    return undefined
  }
}

/** First come, first served; each entry waits as long as it wants to. */
export class WaitQueue<W extends QueueEntry> {
  readonly #left: () => void
  readonly #timer = new LazyTimer((now) => this.#expire(now))
  readonly #deadlines = new Deadlines<W>()
  #first: W | undefined
  #last: W | undefined
  #length = 0

  /** `left` is called when an entry was not served: it has given up, or waited too long. */
  constructor(left: () => void) {
    this.#left = left
  }

  get length(): number {
    return this.#length
  }

  push(entry: W): void {
    entry.isQueued = true
    entry.previous = this.#last
    if (this.#last === undefined) this.#first = entry
    else this.#last.next = entry
    this.#last = entry
    this.#length += 1
    if (leaks !== undefined) watch(leaks, entry)
    if (entry.deadline === Number.POSITIVE_INFINITY) return
    this.#deadlines.add(entry)
    this.#timer.arm(entry.deadline)
  }

  /** Takes out the entry that has waited longest. */
  shift(): W | undefined {
    const entry = this.#first
    if (entry !== undefined) this.#remove(entry)
    return entry
  }

  /** An entry gives up waiting, which may have been served already. */
  leave(entry: W): void {
    if (!entry.isQueued) return
    this.#remove(entry)
    this.#left()
  }

  /** Takes out every entry for which `isMeant` holds, in order. */
  takeAll(isMeant: (entry: W) => boolean = () => true): readonly W[] {
    const taken: W[] = []
    for (let entry = this.#first; entry !== undefined; ) {
      const next = entry.next as W | undefined
      if (isMeant(entry)) {
        this.#remove(entry)
        taken.push(entry)
      }
      entry = next
    }
    return taken
  }

  /** No entry will come any more. */
  stop(): void {
    this.#timer.stop()
  }

  #remove(entry: W): void {
    const { previous, next } = entry
    if (previous === undefined) this.#first = next as W | undefined
    else previous.next = next
    if (next === undefined) this.#last = previous as W | undefined
    else next.previous = previous
    entry.next = undefined
    entry.previous = undefined
    entry.isQueued = false
    this.#length -= 1
    if (leaks !== undefined) leaks.remove(entry.watched)
    if (entry.deadline !== Number.POSITIVE_INFINITY) this.#deadlines.settled()
  }

  #expire(now: number): number {
    let hasExpired = false
    const next = this.#deadlines.expire(now, (entry) => {
      hasExpired = true
      this.#remove(entry)
      entry.expire(now)
    })
    if (hasExpired) this.#left()
    return next
  }
}

function watch(list: WatchList, entry: QueueEntry): void {
  if (entry.awaited === undefined) return
  entry.watched = list.add(new WatchedDebt(entry, alwaysOwed, lookAt, originOf(undefined, entry.caller)))
}

function lookAt({ isQueued, deadline, awaited }: QueueEntry): Look {
  return isQueued ? overdue(deadline, `waits for ${awaited}`) : 'over'
}
