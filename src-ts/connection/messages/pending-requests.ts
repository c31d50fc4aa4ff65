import { type ReadPause, PauseReason } from '../read-pause'

/** What a message that waits costs beside its bytes. */
const overhead = 64

/**
 * Requests that arrived before they may be handled, on connections where the library goes on reading for the sake of
 * replies. That is while `onConnect` makes a call, or while `maxInFlight` handlers run that may wait for calls. Reading
 * pauses at so many bytes of them.
 */
export class PendingRequests {
  readonly #readPause: ReadPause
  readonly #maxInFlight: number
  readonly #highWaterMark: number
  readonly #handle: (message: Buffer) => void
  /** Requests whose handling has begun and is not over. */
  #running = 0
  #isHeld: boolean
  #isDraining = false
  #messages: Buffer[] = []
  #bytes = 0

  /** `isHeld`: nothing is handled until {@link release}. */
  constructor(
    readPause: ReadPause,
    bounds: { readonly maxInFlight: number; readonly highWaterMark: number },
    isHeld: boolean,
    handle: (message: Buffer) => void,
  ) {
    this.#readPause = readPause
    this.#maxInFlight = bounds.maxInFlight
    this.#highWaterMark = bounds.highWaterMark
    this.#isHeld = isHeld
    this.#handle = handle
  }

  /** Whether a message may be handled now: then its handling has begun. */
  begin(): boolean {
    if (this.#isHeld || this.#running >= this.#maxInFlight || this.#messages.length > 0) return false
    this.#running += 1
    return true
  }

  /** Handles a message, now or later. */
  push(message: Buffer): void {
    if (this.begin()) {
      this.#handle(message)
      return
    }
    this.#messages.push(message)
    this.#bytes += heldBytes(message)
    if (this.#bytes >= this.#highWaterMark) this.#readPause.pause(PauseReason.Full)
  }

  /** The handling of a message is over. */
  done(): void {
    this.#running -= 1
    this.#drain()
  }

  /** From now on messages are handled. */
  release(): void {
    this.#isHeld = false
    this.#drain()
  }

  /** Whether no message waits. */
  get isEmpty(): boolean {
    return this.#messages.length === 0
  }

  /** No handler will get what waits. */
  clear(): void {
    this.#messages = []
    this.#bytes = 0
  }

  #drain(): void {
    // Within a handler that is done at once: the loop further out goes on.
    if (this.#isDraining || this.#messages.length === 0 || this.#isHeld) return
    this.#isDraining = true
    let taken = 0
    while (taken < this.#messages.length && this.#running < this.#maxInFlight) {
      const message = this.#messages[taken] as Buffer
      taken += 1
      this.#bytes -= heldBytes(message)
      this.#running += 1
      this.#handle(message)
    }
    this.#isDraining = false
    this.#messages.splice(0, taken)
    if (this.#bytes <= this.#highWaterMark / 2) this.#readPause.resume(PauseReason.Full)
  }
}

/** What a message that is kept costs. */
export function heldBytes(message: Buffer): number {
  return message.length + overhead
}
