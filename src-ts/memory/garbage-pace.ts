import { getHeapStatistics } from 'node:v8'

/**
 * Bytes of users' buffers that are sent between two collections. With twice as much V8 runs a full one by itself, which
 * costs several times as much.
 */
const interval = 16 * 1024 * 1024

/** Asks for a collection where buffers that were sent are garbage as a rule, and not where the same ones are sent again. */
export class GarbagePace {
  readonly #collect: () => void
  /** Bytes since the last look at the end of an interval. */
  #bytes = 0
  /** What there was in the middle of the interval. */
  #held: number | undefined

  /** `collect` collects short-lived garbage. */
  constructor(collect: () => void) {
    this.#collect = collect
  }

  /** So many bytes of memory that garbage collection frees were sent, or lent to be sent. */
  add(bytes: number): void {
    this.#bytes += bytes
    if (this.#bytes >= interval / 2) this.#look()
  }

  /** Another has just asked for a collection, which has freed users' buffers as well. */
  collected(): void {
    this.#bytes = 0
    this.#held = undefined
  }

  #look(): void {
    if (this.#held === undefined) {
      this.#held = bytesOfBuffers()
    } else if (this.#bytes >= interval) {
      const grown = bytesOfBuffers() - this.#held
      this.collected()
      if (grown >= interval / 4) this.#collect()
    }
  }
}

/** Bytes of all `ArrayBuffer`s that V8 has not freed. */
function bytesOfBuffers(): number {
  return getHeapStatistics().external_memory
}
