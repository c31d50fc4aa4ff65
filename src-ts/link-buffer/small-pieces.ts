import { noChunk } from './segments'

/** Bytes of memory that are taken at once. */
const block = 2 * 1024

/**
 * Copies of pieces that are small beside the chunks that they arrived in. A view keeps its whole chunk: a peer that
 * sends a byte now and then, which no code reads, would keep one for each.
 */
export class SmallPieces {
  #memory: Buffer = noChunk
  #filled = 0

  /** Where {@link add} has just put bytes. They stay as they are. */
  get memory(): Buffer {
    return this.#memory
  }

  /** Copies `length` bytes of `chunk`, behind those before where there is room; returns where. */
  add(chunk: Buffer, start: number, length: number): number {
    let at = this.#filled
    if (at + length > this.#memory.length) {
      this.#memory = Buffer.allocUnsafeSlow(Math.max(block, length))
      at = 0
    }
    chunk.copy(this.#memory, at, start, start + length)
    this.#filled = at + length
    return at
  }
}
