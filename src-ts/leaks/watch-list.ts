import { leakSettings } from './settings'
import { type LeakKind, type Look, type Watched, WatchedObject } from './watched'

/** What is watched at most, some hundred bytes each. */
export const maxWatched = 100_000

/** What this thread has made and may leak. */
export class WatchList {
  readonly #watched = new Set<Watched>()
  readonly #connections = new WeakMap<object, Watched>()
  #begin: (() => void) | undefined
  /** Clients and queues that may have timers although nothing is connected. */
  #open = 0
  #isIdle = (): boolean => true
  #receiver = (): object | undefined => undefined
  /** By what is made for a call of the user, and may go on elsewhere: the frames of the code that has made the call. */
  readonly callers = new WeakMap<object, string>()
  /** What the first was that is not watched, because too much is. */
  missed: Pick<Watched, 'kind' | 'stack'> | undefined

  /** How many things are watched. */
  get size(): number {
    return this.#watched.size
  }

  /** Watches something. */
  add<T extends Watched>(watched: T): T {
    if (this.#watched.size >= maxWatched) {
      this.missed ??= { kind: watched.kind, stack: watched.stack }
      return watched
    }
    this.#watched.add(watched)
    this.#begin?.()
    return watched
  }

  /** Watches an object without keeping it: `look` must not refer to it otherwise. */
  watch<Target extends object>(
    kind: LeakKind,
    target: Target,
    look: (target: Target) => Look,
    stack?: string,
  ): WatchedObject<Target> {
    const watched = this.add(new WatchedObject(kind, target, look, stack))
    if (kind === 'connection') this.#connections.set(target, watched)
    return watched
  }

  /** It is over, however it looks. Whatever a list keeps costs memory until it is told so, or looks. */
  remove(watched: Watched | undefined): void {
    if (watched !== undefined) this.#watched.delete(watched)
  }

  /** Calls `begin` now, if something is watched, and whenever something comes. */
  whenWatching(begin: () => void): void {
    this.#begin = begin
    if (this.#watched.size > 0) begin()
  }

  /** Calls `see` with each that is not over. */
  lookAtAll(see: (watched: Watched, look: Exclude<Look, 'over'>) => void): void {
    for (const watched of this.#watched) {
      const look = watched.look()
      if (look === 'over') this.#watched.delete(watched)
      else see(watched, look)
    }
  }

  /** A client or queue is made, which may have timers until {@link closed}. */
  opened(): void {
    this.#open += 1
  }

  closed(): void {
    this.#open -= 1
  }

  /** `isIdle` says whether this thread has no event loop: without connections and listeners they end. */
  askLoops(isIdle: () => boolean): void {
    this.#isIdle = isIdle
  }

  /** Whether nothing is open on this thread. */
  get isIdle(): boolean {
    return this.#open === 0 && this.#isIdle()
  }

  /** A batch is delivered from now on: `receiver` says to which connection, as long as it is. */
  delivering(receiver: () => object | undefined): void {
    this.#receiver = receiver
  }

  /** The frames of the code that has made `connection`. */
  stackOf(connection: object): string {
    return this.#connections.get(connection)?.stack ?? ''
  }

  /** The connection whose message is delivered now. */
  get receiver(): Watched | undefined {
    const receiver = this.#receiver()
    return receiver && this.#connections.get(receiver)
  }
}

/** `undefined` where leaks are not looked for: then nothing is watched, and it costs nothing. */
export const leaks: WatchList | undefined = leakSettings && new WatchList()
