import { setImmediate } from '../../time/timers'
import { transportOf, type SocketDuplex } from './socket-duplex'
import { throwLater } from './write-callbacks'

/** The events of a stream, of which its listeners are told one after the other. */
export class EventQueue {
  readonly #stream: SocketDuplex
  /** The batch of which something was told last. */
  #lastBatch = 0
  /** What has come behind that, in its order. */
  readonly #waiting: (() => void)[] = []

  constructor(stream: SocketDuplex) {
    this.#stream = stream
  }

  /** Whether nothing waits to be told. */
  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /** From now on everything waits, until {@link release}. */
  hold(): void {
    this.#waiting.push(nothing)
  }

  /** Tells the first thing, which the others have waited for. */
  release(tell: () => void): void {
    this.#waiting[0] = () => this.run(tell, undefined)
    this.#tellNext()
  }

  /** What waits is not told. */
  forget(): void {
    this.#waiting.length = 0
  }

  /**
   * Tells one thing: at once, unless another of the same batch was told already. A socket of Node.js enters JavaScript
   * for each. So promises run in between, and code that has awaited one event may then listen to the next.
   */
  tell<What>(work: (what: What) => void, what: What): void {
    const batch = transportOf(this.#stream)?.group.poller.batch ?? 0
    if (this.#waiting.length === 0 && (batch === 0 || batch !== this.#lastBatch)) {
      this.#lastBatch = batch
      this.run(work, what)
    } else {
      this.#waiting.push(() => this.run(work, what))
      // One for each: promises run between immediates.
      setImmediate(this.#tellNext)
    }
  }

  readonly #tellNext = (): void => this.#waiting.shift()?.()

  /** The other connections of the same batch must not suffer from a listener that throws. */
  run<What>(work: (what: What) => void, what: What): void {
    const transport = transportOf(this.#stream)
    try {
      if (transport === undefined) work(what)
      else transport.core.context.run(work, what, undefined)
    } catch (error) {
      throwLater(error)
    }
  }
}

/** Keeps the place before all that is told. */
function nothing(): void {}
