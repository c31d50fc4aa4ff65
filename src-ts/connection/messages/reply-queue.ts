import { originOf } from '../../leaks/origin'
import { leaks, type WatchList } from '../../leaks/watch-list'
import { type Look, type Watched, WatchedDebt } from '../../leaks/watched'
import type { Payload } from '../../memory/payload'

/** What a handler may return: one message, or nothing. */
export type Reply = Payload | undefined | null | void

/** The owner of places among the replies of a connection. */
export interface ReplyOwner {
  /** A place has its result. */
  settled(place: PendingReply): void
  /** Whether its connection has ended. */
  readonly isOver: boolean
  /** The frames of the code that has made its server or dialer, where leaks are looked for. */
  readonly madeAt: string | undefined
}

/** Where the handling of one request stands. */
const Stage = { Running: 0, Replied: 1, Failed: 2 } as const

type Stage = (typeof Stage)[keyof typeof Stage]

/**
 * The place of one asynchronous request among its connection's replies. Places are used again, with
 * the two functions that continue a promise, so that a request allocates neither.
 */
export class PendingReply {
  next: PendingReply | undefined
  stage: Stage = Stage.Running
  value: unknown
  #owner: ReplyOwner | undefined

  readonly fulfilled = (value: unknown): void => this.#settle(Stage.Replied, value)
  readonly rejected = (error: unknown): void => this.#settle(Stage.Failed, error)

  /** A place for the next reply of `owner`. */
  static readonly take = leaks === undefined ? PendingReply.#take : PendingReply.#watching(leaks)

  /** As {@link take}, of places that are used once and watched. */
  static #watching(list: WatchList): (owner: ReplyOwner) => PendingReply {
    return (owner) => {
      const place = new WatchedReply(list)
      place.#owner = owner
      // A handler that asks for its place stands in the stack. Of others, no more is known than the server or dialer.
      const stack = originOf(owner.madeAt)
      place.watched = list.add(new WatchedDebt(place, PendingReply.#isOwed, PendingReply.#look, stack))
      return place
    }
  }

  /** While its connection lives, its reply holds up others. */
  static #isOwed(place: PendingReply): boolean {
    return place.#owner?.isOver === false
  }

  static #look(place: PendingReply): Look {
    if (place.#owner === undefined) return 'over'
    // It waits for the replies before it.
    if (place.stage !== Stage.Running) return 'fine'
    if (!place.#owner.isOver) return { what: 'waits for its handler', certainty: 'certain' }
    return { what: 'of a connection that has ended waits for its handler', certainty: 'unlessGarbage' }
  }

  static #take(owner: ReplyOwner): PendingReply {
    const place = spare ?? new PendingReply()
    spare = place.next
    place.next = undefined
    place.stage = Stage.Running
    place.#owner = owner
    return place
  }

  /** Gives the place back. */
  recycle(): void {
    this.value = undefined
    this.#owner = undefined
    this.next = spare
    spare = this
  }

  #settle(stage: Stage, value: unknown): void {
    this.stage = stage
    this.value = value
    this.#owner?.settled(this)
  }
}

let spare: PendingReply | undefined

/** A place that is used once. */
class WatchedReply extends PendingReply {
  readonly #list: WatchList
  watched: Watched | undefined

  constructor(list: WatchList) {
    super()
    this.#list = list
  }

  override recycle(): void {
    super.recycle()
    spare = undefined
    this.#list.remove(this.watched)
  }
}

/** Replies of one connection, in the order of their requests. */
export class ReplyQueue {
  #head: PendingReply | undefined
  #tail: PendingReply | undefined

  get isEmpty(): boolean {
    return this.#head === undefined
  }

  /** Whether `place` is the oldest, so that it is answered as soon as it is settled. */
  isOldest(place: PendingReply): boolean {
    return this.#head === place
  }

  append(place: PendingReply): void {
    if (this.#tail === undefined) this.#head = place
    else this.#tail.next = place
    this.#tail = place
  }

  /** The oldest place, once it is settled; it is no longer queued then. */
  shiftSettled(): PendingReply | undefined {
    const head = this.#head
    if (head === undefined || head.stage === Stage.Running) return undefined
    this.#head = head.next
    if (head.next === undefined) this.#tail = undefined
    return head
  }
}

/** Whether a settled place holds an error. */
export function hasFailed(place: PendingReply): boolean {
  return place.stage === Stage.Failed
}
