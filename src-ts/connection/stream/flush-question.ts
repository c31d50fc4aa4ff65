import type { StreamTransport } from './transport'

/** Questions have numbers up to here, and begin again at 0. */
const maxNumber = 2 ** 31 - 1

/** What a stream asks the core: to be told when nothing is unsent. A question takes the place of the one before. */
export class FlushQuestion {
  #number = 0

  ask({ core }: StreamTransport): void {
    this.#number = (this.#number + 1) & maxNumber
    core.tellFlushed(this.#number)
  }

  /** Whether the answer with this number is that to the last question, and so of all that was written before it. */
  isAnsweredBy(number: number): boolean {
    return number === this.#number
  }
}
