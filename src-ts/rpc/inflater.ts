import { type InflationJob, inflationQueue } from './inflation-queue'
import type { CompressedMessage } from './message'

/** What counts against `maxBufferedBytes` of a server or dialer. */
export interface BufferBound {
  /** Replaces a claim of `before` bytes by one of `now`. False beyond the bound: then it has to be taken back. */
  replaceClaim(before: number, now: number): boolean
}

/** The inflated bytes of a transport. */
export interface InflationStats {
  /** All inflated bytes since the start. */
  readonly inflated: number
  /** Those of them that calls hold, and that count against `maxBufferedBytes`. */
  readonly held: number
  /** Compressed messages that are being inflated, or wait for it. */
  readonly waiting: number
}

/** The bytes that one message was inflated to, counted until they are released. */
export class Claim {
  readonly #bound: BufferBound
  readonly #counts: { held: number }
  #bytes = 0
  #isReleased = false
  #inflated: Buffer | undefined

  constructor(bound: BufferBound, counts: { held: number }) {
    this.#bound = bound
    this.#counts = counts
  }

  set inflated(bytes: Buffer) {
    this.#inflated = bytes
  }

  /**
   * The inflated message, once. Neither this nor a promise keeps it. An object that has waited long is old to V8, and would
   * keep the young bytes until the next full collection.
   */
  take(): Buffer {
    const bytes = this.#inflated
    this.#inflated = undefined
    return bytes ?? noBytes
  }

  /** Counts so many more. False beyond the bound, or when it was released already: then they are not counted. */
  grow(bytes: number): boolean {
    if (this.#isReleased) return false
    const before = this.#bytes
    const now = before + bytes
    if (!this.#bound.replaceClaim(before, now)) {
      this.#bound.replaceClaim(now, before)
      return false
    }
    this.#bytes = now
    this.#counts.held += bytes
    return true
  }

  /** Counts them no more. */
  release(): void {
    this.#isReleased = true
    this.#inflated = undefined
    const bytes = this.#bytes
    this.#bytes = 0
    if (bytes === 0) return
    this.#counts.held -= bytes
    this.#bound.replaceClaim(bytes, 0)
    inflationQueue.discarded(bytes)
  }
}

const noBytes = Buffer.alloc(0)

/** Inflates the compressed messages of one transport, and counts what becomes of them. */
export class Inflater {
  readonly #bound: BufferBound
  readonly #counts = { inflated: 0, held: 0, waiting: 0 }

  constructor(bound: BufferBound) {
    this.#bound = bound
  }

  stats(): InflationStats {
    return { ...this.#counts }
  }

  /** For one message. The caller releases it. */
  newClaim(): Claim {
    return new Claim(this.#bound, this.#counts)
  }

  /**
   * Inflates a message.
   *
   * @param claim counts the inflated bytes, and holds them until they are taken
   * @param isWanted whether a call still waits for it
   * @returns whether it was inflated; false when no call waits any more
   * @throws (as a rejection) what {@link CompressedMessage.tooLarge} returns; NetpollError `ERR_BUFFER_LIMIT`; an error of
   * zlib
   */
  inflate(message: CompressedMessage<unknown>, claim: Claim, isWanted: () => boolean): Promise<boolean> {
    this.#counts.waiting += 1
    return new Promise((resolve, reject) => {
      const job: InflationJob = {
        payload: message.payload,
        most: message.maxInflatedLength,
        tooLarge: () => tooLarge(message),
        get isWanted() {
          return isWanted()
        },
        claim: (bytes) => claim.grow(bytes),
        inflated: (bytes) => {
          this.#counts.waiting -= 1
          this.#counts.inflated += bytes.length
          claim.inflated = bytes
          resolve(true)
        },
        failed: (error) => {
          this.#counts.waiting -= 1
          reject(error)
        },
        dropped: () => {
          this.#counts.waiting -= 1
          resolve(false)
        },
      }
      inflationQueue.add(job)
    })
  }
}

/** Codecs are the user's: one that fails to say so has failed as well. */
function tooLarge(message: CompressedMessage): unknown {
  try {
    return message.tooLarge()
  } catch (error) {
    return error
  }
}
