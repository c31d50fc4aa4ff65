import { queue } from '../connection/sending'
import { keepPayload, type Payload } from '../memory/payload'
import { type Caller, type CallSite, rejectCall } from '../process/call-site'
import type { MuxConnection } from './mux-connection'
import { dialErrorForCall } from './mux-errors'
import { ConnectionWaiter } from './waiting-call'

/** A message that waits for a connection of a mux. */
export class WaitingSend extends ConnectionWaiter<MuxConnection> {
  readonly deadline = Number.POSITIVE_INFINITY
  readonly #message: Payload
  readonly #resolve: (done: void | Promise<void>) => void
  readonly #reject: (error: unknown) => void
  readonly #site: CallSite | undefined

  /** `site` is where it was sent, if that is noted. */
  constructor(
    message: Payload,
    resolve: (done: void | Promise<void>) => void,
    reject: (error: unknown) => void,
    site: CallSite | undefined,
  ) {
    super()
    this.#message = keepPayload(message)
    this.#resolve = resolve
    this.#site = site
    this.#reject = (error) => rejectCall(resolve, reject, error, site)
  }

  override get awaited(): string {
    return 'a connection'
  }

  serve(muxed: MuxConnection): void {
    try {
      this.#resolve(sendOver(muxed, this.#message, this.#site))
    } catch (error) {
      this.#reject(error)
    }
  }

  fail(error: unknown): void {
    this.#reject(dialErrorForCall(error))
  }

  expire(): void {}
}

/** Sends a message over a connection of a mux. Throws what `send` of that connection is refused with. */
export function sendOver(muxed: MuxConnection, message: Payload, caller: Caller): Promise<void> {
  muxed.hasSent = true
  return queue(muxed.connection, message, caller)
}
