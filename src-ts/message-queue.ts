import { NetpollError } from './errors'
import { heldBytes } from './backlog'
import { type Flow, Hold } from './flow'

interface Waiter {
  readonly resolve: () => void
}

/** At how much reading pauses. */
interface Bounds {
  readonly ids: object | undefined
  readonly maxInFlight: number
  readonly highWaterMark: number
}

/**
 * Messages that wait for whoever iterates over them. Reading pauses at `maxInFlight` of them; where the replies that the
 * loop waits for may stand behind them, because messages have ids, at `highWaterMark` bytes.
 */
export class MessageQueue {
  readonly #flow: Flow
  readonly #limit: number
  readonly #cost: (message: Buffer) => number
  readonly #done: () => void
  #messages: Buffer[] = []
  /** What they cost, all together. */
  #held = 0
  #iterated = false
  #waiter: Waiter | undefined
  #isOver = false
  /** Why it is over, where that was not in order. */
  #failure: NetpollError | undefined

  /** `done` is called for each message that the loop is done with. */
  constructor(flow: Flow, { ids, maxInFlight, highWaterMark }: Bounds, done: () => void) {
    this.#flow = flow
    this.#limit = ids === undefined ? maxInFlight : highWaterMark
    this.#cost = ids === undefined ? () => 1 : heldBytes
    this.#done = done
  }

  /** Whether somebody iterates, or has. */
  get isIterated(): boolean {
    return this.#iterated
  }

  push(message: Buffer): void {
    this.#messages.push(message)
    this.#held += this.#cost(message)
    if (this.#held >= this.#limit) this.#flow.hold(Hold.Full)
    this.#wake()
  }

  /** Nothing more will come: the iteration ends, or throws `failure`. */
  end(failure: NetpollError | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#failure = failure
    this.#wake()
  }

  /** Everything that is there, for the handler that was set meanwhile: it replies, so nothing counts as taken. */
  takeAll(): Buffer[] {
    const messages = this.#messages
    this.#messages = []
    this.#held = 0
    this.#flow.release(Hold.Full)
    return messages
  }

  messages(): AsyncGenerator<Buffer, void, undefined> {
    this.#iterated = true
    return this.#iterate()
  }

  async *#iterate(): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const message = this.#messages.shift()
      if (message !== undefined) {
        this.#held -= this.#cost(message)
        if (this.#held <= this.#limit / 2) this.#flow.release(Hold.Full)
        try {
          yield message
        } finally {
          this.#done()
        }
      } else if (this.#isOver) {
        if (this.#failure !== undefined) throw this.#failure
        return
      } else {
        await this.#next()
      }
    }
  }

  #next(): Promise<void> {
    if (this.#waiter !== undefined) {
      throw new NetpollError('ERR_CONCURRENT_ACCESS', 'Somebody else waits for the next message')
    }
    return new Promise((resolve) => {
      this.#waiter = { resolve }
    })
  }

  #wake(): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    waiter?.resolve()
  }
}
