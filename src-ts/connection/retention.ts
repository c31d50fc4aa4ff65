import type { Poller } from '../poller/poller'
import type { Life } from './life'

/** Whether a connection keeps the process alive. It does so when this is made. */
export class Retention {
  readonly #poller: Pick<Poller, 'retain' | 'release'>
  readonly #life: Pick<Life, 'isClosed' | 'isClosing'>
  #isReferenced = true
  #isExpectant = true
  #retains = true

  constructor(poller: Pick<Poller, 'retain' | 'release'>, life: Pick<Life, 'isClosed' | 'isClosing'>) {
    this.#poller = poller
    this.#life = life
  }

  /** Whether the user wants it to. */
  set isReferenced(isReferenced: boolean) {
    this.#isReferenced = isReferenced
    this.follow()
  }

  /** Whether something can still come of it: not of a stream that neither reads nor writes. */
  set isExpectant(isExpectant: boolean) {
    this.#isExpectant = isExpectant
    this.follow()
  }

  /** Its life has gone on. One that closes keeps the process until it is gone, also where its stream expects nothing. */
  follow(): void {
    const isExpectant = this.#life.isClosing ? !this.#life.isClosed : this.#isExpectant
    const retains = this.#isReferenced && isExpectant
    if (retains === this.#retains) return
    this.#retains = retains
    if (retains) this.#poller.retain()
    else this.#poller.release()
  }
}
