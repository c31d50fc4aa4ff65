import { types } from 'node:util'

import type { NetpollError } from '../errors'
import { allowListeners, isAborted, OwnController, reasonOf } from '../abort'

const { getOwnPropertyDescriptor } = Reflect

/** The signal of a connection. It is made for the first caller who asks: an idle connection has none. */
export class EndSignal {
  readonly #controller = new OwnController()

  constructor() {
    // Each call of a handler may listen.
    allowListeners(this.#controller.signal)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Aborts, the first time; without an error the reason is the `AbortError` of the platform. */
  abort(error: NetpollError | undefined): void {
    this.#controller.abort(error)
  }

  /** Whether `error` says no more than that the signal was aborted: its reason, or an error of Node.js that has it as cause. */
  isToldBy(error: unknown): boolean {
    const { signal } = this
    if (!isAborted(signal)) return false
    const reason = reasonOf(signal)
    // An error of the language, so that no code of a proxy runs.
    const cause = types.isNativeError(error) ? getOwnPropertyDescriptor(error, 'cause')?.value : undefined
    return error === reason || (cause !== undefined && cause === reason)
  }
}
