/** xorshift: what is random here is the same in every run. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e37_79b1) | 1
  }

  below(bound: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % Math.max(1, bound)
  }

  /** Fewer than `bound` bytes, few of them different, so that delimiters are found. */
  bytes(bound: number): Buffer {
    return Buffer.from(Array.from({ length: this.below(bound) }, () => this.below(4)))
  }
}
