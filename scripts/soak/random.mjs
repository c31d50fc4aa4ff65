// What is random in a soak, and the same again for the same seed.

/** xorshift, which a seed determines. */
export class Random {
  #state

  constructor(seed) {
    this.#state = Math.imul(seed, 0x9e37_79b1) | 1
  }

  /** An integer from 0 on, less than `bound`. */
  below(bound) {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % Math.max(1, bound)
  }

  /** One of a list. */
  of(list) {
    return list[this.below(list.length)]
  }
}

/** Resolves after so many milliseconds. */
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds))
