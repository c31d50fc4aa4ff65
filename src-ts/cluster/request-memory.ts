import { allocate } from '../extension'

const { max } = Math

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

  /** Nothing will look at it any more. Where there is too much, the length of which most is kept gives way to others. */
  giveBack(piece: Buffer): void {
    const { length } = piece
    const alike = this.#pieces[exponentOf(length)]
    while (this.#spare + length > maxSpare) {
      const most = this.#most()
      const given = most === alike ? undefined : most?.pop()
      if (given === undefined) return
      this.#spare -= given.length
    }
    this.#spare += length
    alike?.push(piece)
  }

  /** Those of one length that take most. */
  #most(): Buffer[] | undefined {
    const bytes = this.#pieces.map((pieces, exponent) => pieces.length * 2 ** exponent)
    return this.#pieces[bytes.indexOf(max(...bytes))]
  }
}

function exponentOf(length: number): number {
  return max(minExponent, 32 - Math.clz32(length - 1))
}
