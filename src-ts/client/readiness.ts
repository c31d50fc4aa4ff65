import { microtask } from '../time/timers'

/**
 * Why a mux is ready for calls, or no longer. A connection was established. The last one was asked to leave, or is too old; it
 * was lost; it was closed because no call used it. The mux closes.
 */
export type ReadyChange = 'connected' | 'leaving' | 'lost' | 'idle' | 'closed'

/** Whether a mux has a connection for calls. A change is told once the code that has found it is done. */
export class Readiness {
  readonly #tell: (isReady: boolean, why: ReadyChange) => void
  #isReady = false
  #why: ReadyChange = 'connected'
  #told = false
  #isScheduled = false

  /** `tell`, which must not throw, is told of changes. What has changed back before it could be told is none. */
  constructor(tell: (isReady: boolean, why: ReadyChange) => void) {
    this.#tell = tell
  }

  get isReady(): boolean {
    return this.#isReady
  }

  /** So it is from now on. After `'closed'` nothing changes any more. */
  set(isReady: boolean, why: ReadyChange): void {
    if (this.#why === 'closed' || isReady === this.#isReady) {
      if (why === 'closed') this.#why = why
      return
    }
    this.#isReady = isReady
    this.#why = why
    if (this.#isScheduled) return
    this.#isScheduled = true
    microtask(() => this.#changed())
  }

  #changed(): void {
    this.#isScheduled = false
    if (this.#isReady === this.#told) return
    this.#told = this.#isReady
    this.#tell(this.#isReady, this.#why)
  }
}
