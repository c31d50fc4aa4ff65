import type { NativeMemory } from '../native/binding'
import type { OutgoingChunk } from './outgoing-chunk'

/** Chunks that are looked at from the most recent on: where all that was written has been sent, the first is free, and warm. */
const recent = 4
/** Chunks that are looked at beyond these, at each need of one. Of thousands that peers keep, a few are, the next ones later. */
const others = 28

/** Chunks that outgoing bytes were written to, and that are written to again once those have been sent. */
export class OutgoingRing {
  readonly #native: NativeMemory
  /** In the order in which they were used last. */
  readonly #chunks: OutgoingChunk[] = []
  /** Where the next look begins, behind those that were in use. */
  #next = 0

  constructor(native: NativeMemory) {
    this.#native = native
  }

  /** How many there are. */
  get count(): number {
    return this.#chunks.length
  }

  /** Keeps a chunk, which bytes were written to in this period. */
  add(chunk: OutgoingChunk, period: number, sweep: number): void {
    chunk.period = period
    chunk.sweep = sweep
    this.#chunks.push(chunk)
  }

  /** Lets go of a chunk, which may be there. It is the last as a rule. */
  remove(chunk: OutgoingChunk): void {
    const at = this.#chunks.lastIndexOf(chunk)
    if (at >= 0) this.#chunks.splice(at, 1)
  }

  /** Takes a chunk out that has room for `length` bytes, and not for more than twice as many; `undefined` where none is free. */
  reuse(length: number, period: number): OutgoingChunk | undefined {
    const chunks = this.#chunks
    const from = Math.max(0, chunks.length - recent)
    for (let at = chunks.length - 1; at >= from; at -= 1) {
      if (this.#isFree(chunks[at] as OutgoingChunk, length, period)) return this.#takeOut(at)
    }
    for (let looks = Math.min(from, others); looks > 0; looks -= 1) {
      if (this.#next >= from) this.#next = 0
      if (this.#isFree(chunks[this.#next] as OutgoingChunk, length, period)) return this.#takeOut(this.#next)
      this.#next += 1
    }
    return undefined
  }

  /** Gives back the memory of those that are free and were not used since the sweep before. */
  sweep(sweep: number, period: number): void {
    const chunks = this.#chunks
    let kept = 0
    for (const chunk of chunks) {
      if (!chunk.isThere) continue
      const isSurplus = chunk.sweep < sweep - 1 && chunk.period !== period
      if (isSurplus && this.#native.takeBack(chunk.handle, chunk.buffer as ArrayBuffer)) continue
      chunks[kept] = chunk
      kept += 1
    }
    chunks.length = kept
  }

  #takeOut(at: number): OutgoingChunk {
    return this.#chunks.splice(at, 1)[0] as OutgoingChunk
  }

  /**
   * The memory that user code has transferred away is its own. Commands of the same period may name a chunk that the core
   * does not know of yet.
   */
  #isFree(chunk: OutgoingChunk, length: number, period: number): boolean {
    const capacity = chunk.bytes.length
    if (capacity < length || capacity > 2 * length || chunk.period === period) return false
    return this.#native.isIdle(chunk.handle)
  }
}
