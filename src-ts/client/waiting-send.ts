import { send } from '../connection/sending'
import { keepPayload, type Payload } from '../memory/payload'
import type { MuxConnection } from './mux-connection'
import { dialErrorForCall } from './mux-errors'
import { ConnectionWaiter } from './waiting-call'

/** A message that waits for a connection of a mux. */
export class WaitingSend extends ConnectionWaiter<MuxConnection> {
  readonly deadline = Number.POSITIVE_INFINITY
  readonly #message: Payload
  readonly #resolve: (done: Promise<void>) => void
  readonly #reject: (error: unknown) => void

  constructor(message: Payload, resolve: (done: Promise<void>) => void, reject: (error: unknown) => void) {
    super()
    this.#message = keepPayload(message)
    this.#resolve = resolve
    this.#reject = reject
  }

  override get awaited(): string {
    return 'a connection'
  }

  serve(muxed: MuxConnection): void {
    muxed.hasSent = true
    this.#resolve(send(muxed.connection, this.#message))
  }

  fail(error: unknown): void {
    this.#reject(dialErrorForCall(error))
  }

  expire(): void {}
}
