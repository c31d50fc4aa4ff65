import { send } from '../connection/sending'
import { keepPayload, type Payload } from '../memory/payload'
import type { Line } from './mux-connection'
import { Waiting } from './waiting-call'

/** A message that waits for a connection of a mux. */
export class WaitingSend extends Waiting<Line> {
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

  serve(line: Line): void {
    line.hasSent = true
    this.#resolve(send(line.connection, this.#message))
  }

  fail(error: unknown): void {
    this.#reject(error)
  }

  expire(): void {}
}
