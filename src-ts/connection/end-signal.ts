import { types } from 'node:util'

import type { NetpollError } from '../errors'
import type { Context } from '../process/async-context'
import type { Closing } from './closing'
import type { Life } from './life'
import { allowListeners, isAborted, OwnController, reasonOf } from '../abort'

const { getOwnPropertyDescriptor } = Reflect

/** A connection, as far as its end is told by a signal. */
interface EndingConnection {
  readonly context: Context
  readonly life: Pick<Life, 'isGone'>
  readonly closing: Pick<Closing, 'attempt' | 'error'>
}

/** The signal of a connection. It is made for the first caller who asks: an idle connection has none. */
export class EndSignal {
  readonly #connection: EndingConnection
  readonly #controller = new OwnController()

  constructor(connection: EndingConnection) {
    this.#connection = connection
    // Each call of a handler may listen.
    allowListeners(this.#controller.signal)
    if (connection.life.isGone) this.abort()
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /**
   * Aborts, the first time; without an error the reason is the `AbortError` of the platform. Runs code of users, so it comes
   * last. A listener that throws is an uncaught exception, which Node.js tells later.
   */
  abort(): void {
    const { context, closing } = this.#connection
    closing.attempt(() => context.run(abort, this.#controller, closing.error))
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

const abort = (controller: AbortController, error: NetpollError | undefined): void => controller.abort(error)
