import { allocate } from '../extension'

/** The least and the most bytes of one piece, as powers of two. */
const minExponent = 6
const maxExponent = 16

/** Requests that are longer are copied to memory of their own. */
export const maxKept = 2 ** maxExponent

/** Bytes at most that wait to be used again. */
const maxSpare = 2 ** 20

/**
 * Memory that requests are copied to, as long as they may have to be sent again. It is used again once the call is over:
 * a new copy for each call has the collector run all the time.
 */
export class RequestMemory {
  /** By the power of two that their lengths are. */
  readonly #pieces: readonly Buffer[][] = Array.from({ length: maxExponent + 1 }, () => [])
  #spare = 0

  /** Bytes that wait to be used again. */
  get spare(): number {
    return this.#spare
  }

  /**
   * Room for so many bytes, from 1 to {@link maxKept}. It has an end of its own: memory that another thread lets grow
   * overwrites nothing else.
   *
   * @throws NetpollError `ENOMEM`
   */
  take(length: number): Buffer {
    const exponent = exponentOf(length)
    const piece = this.#pieces[exponent]?.pop()
    if (piece === undefined) return allocate(2 ** exponent)
    this.#spare -= piece.length
    return piece
  }

  /** Nothing will look at it any more. */
  giveBack(piece: Buffer): void {
    const { length } = piece
    if (this.#spare + length > maxSpare) return
    this.#spare += length
    this.#pieces[exponentOf(length)]?.push(piece)
  }
}

function exponentOf(length: number): number {
  return Math.max(minExponent, 32 - Math.clz32(length - 1))
}
