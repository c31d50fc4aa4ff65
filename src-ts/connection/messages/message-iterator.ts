import { heldBytes } from './pending-requests'
import { NetpollError } from '../../errors'
import { type ReadPause, PauseReason } from '../read-pause'
import { stepBudget } from '../../time/step-budget'

interface PendingNext {
  readonly resolve: () => void
}

/** The object that a queue tells of its loops. */
export interface MessageIteratorOwner {
  /** A loop is done with a message. */
  done(): void
  /** No loop iterates any more. */
  left(): void
}

/** At how much reading pauses. */
interface Bounds {
  readonly ids: object | undefined
  readonly maxInFlight: number
  readonly highWaterMark: number
}

/**
 * Messages that wait for the loop that iterates over them. Reading pauses at `maxInFlight` of them. Where messages have
 * ids, the replies that the loop waits for may stand behind them: there it pauses at `highWaterMark` bytes.
 */
export class MessageIterator {
  readonly #readPause: ReadPause
  readonly #limit: number
  readonly #cost: (message: Buffer) => number
  readonly #owner: MessageIteratorOwner
  #messages: Buffer[] = []
  /** What they cost, all together. */
  #held = 0
  /** Loops that have been asked for and are not over. */
  #loops = 0
  #isForLoops = false
  /** Messages that loops have and are not done with. */
  #given = 0
  #waiter: PendingNext | undefined
  #isOver = false
  /** Why it is over, where that was not in order. */
  #failure: NetpollError | undefined

  constructor(
    readPause: ReadPause,
    { ids, maxInFlight, highWaterMark }: Bounds,
    owner: MessageIteratorOwner,
  ) {
    this.#readPause = readPause
    this.#limit = ids === undefined ? maxInFlight : highWaterMark
    this.#cost = ids === undefined ? () => 1 : heldBytes
    this.#owner = owner
  }

  /** Whether a loop iterates, or is about to. */
  get isIterated(): boolean {
    return this.#loops > 0
  }

  /** Whether a loop iterates, or has, so that what is left may be for the next loop. */
  get isForLoops(): boolean {
    return this.#isForLoops
  }

  /** Whether the body of a loop is at work. */
  get isBusy(): boolean {
    return this.#given > 0
  }

  /** Whether no message waits. */
  get isEmpty(): boolean {
    return this.#messages.length === 0
  }

  /** How many messages wait. */
  get length(): number {
    return this.#messages.length
  }

  push(message: Buffer): void {
    this.#messages.push(message)
    this.#held += this.#cost(message)
    if (this.#held >= this.#limit) this.#readPause.pause(PauseReason.Full)
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
    this.#readPause.resume(PauseReason.Full)
    return messages
  }

  messages(): AsyncGenerator<Buffer, void, undefined> {
    this.#isForLoops = true
    this.#loops += 1
    return this.#iterate()
  }

  async *#iterate(): AsyncGenerator<Buffer, void, undefined> {
    try {
      for (;;) {
        const message = this.#messages.shift()
        if (message !== undefined) {
          this.#held -= this.#cost(message)
          if (this.#held <= this.#limit / 2) this.#readPause.resume(PauseReason.Full)
          this.#given += 1
          try {
            yield message
          } finally {
            this.#given -= 1
            this.#owner.done()
          }
        } else if (this.#isOver) {
          await stepBudget.pass()
          if (this.#failure !== undefined) throw this.#failure
          return
        } else {
          await this.#next()
        }
      }
    } finally {
      this.#loops -= 1
      if (this.#loops === 0) this.#owner.left()
    }
  }

  #next(): Promise<void> {
    if (this.#waiter !== undefined) {
      return stepBudget.refuse(
        new NetpollError('ERR_CONCURRENT_ACCESS', 'Another caller waits for the next message'),
      )
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
