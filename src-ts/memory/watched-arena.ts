import { Arena, type HeaderLength, type Hold } from './arena'
import { offsetOf } from '../checks/bytes'
import type { WatchList } from '../leaks/watch-list'
import type { Look, Watched } from '../leaks/watched'
import { type OutgoingChunk, outgoingChunkOf } from './outgoing-chunk'

/** An arena of which is known since when each part is taken that was not sent. */
export class WatchedArena extends Arena {
  readonly #list: WatchList
  /** By the chunk and where they begin. */
  readonly #allocated = new WeakMap<OutgoingChunk, Map<number, Watched>>()
  readonly #holds = new WeakMap<Hold, Watched>()

  constructor(list: WatchList, ...given: ConstructorParameters<typeof Arena>) {
    super(...given)
    this.#list = list
  }

  override allocate(length: number, framing: HeaderLength): Buffer {
    const view = super.allocate(length, framing)
    const chunk = outgoingChunkOf(view)
    if (chunk === undefined) return view
    const known = this.#allocated.get(chunk) ?? new Map<number, Watched>()
    this.#allocated.set(chunk, known)
    const watched = this.#list.watch('chunk', view, lookAtAllocated)
    known.set(offsetOf(view), watched)
    return view
  }

  override handOver(bytes: Uint8Array, before: number): boolean {
    const isHandedOver = super.handOver(bytes, before)
    if (!isHandedOver) return false
    const known = this.#allocated.get(outgoingChunkOf(bytes) as OutgoingChunk)
    const start = offsetOf(bytes)
    this.#list.remove(known?.get(start))
    known?.delete(start)
    return true
  }

  /** One of its own for each writer: an ordinary one is that of all that write to the chunk. */
  override hold(previous: Hold | undefined): Hold {
    const hold = super.hold(previous)
    if (hold === previous) return hold
    const own = [...hold]
    this.#watch(own, previous)
    return own
  }

  override endHold(hold: Hold): void {
    this.#list.remove(this.#holds.get(hold))
    super.endHold(hold)
  }

  override joinHolds(one: Hold, other: Hold): Hold {
    this.#list.remove(this.#holds.get(other))
    const joined = super.joinHolds(one, other)
    if (joined !== one) this.#watch(joined, one)
    return joined
  }

  /** `hold` takes the place of `previous`, and is as old. */
  #watch(hold: Hold, previous: Hold | undefined): void {
    const before = previous && this.#holds.get(previous)
    const watched = this.#list.watch('chunk', hold, lookAtHold, before?.stack)
    if (before !== undefined) {
      watched.what = before.what
      watched.since = before.since
      this.#list.remove(before)
    }
    this.#holds.set(hold, watched)
  }
}

function lookAtHold(): Look {
  return { what: 'of outgoing bytes has some that were written and not flushed', certainty: 'unlessGarbage' }
}

function lookAtAllocated(view: Buffer): Look {
  const chunk = outgoingChunkOf(view)
  if (chunk === undefined || !chunk.isAllocated(offsetOf(view))) return 'over'
  return { what: 'of outgoing bytes has some that were allocated and not sent', certainty: 'unlessGarbage' }
}
