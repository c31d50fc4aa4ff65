import { type CallOptions, PendingCall, refuseAtOnce } from '../connection/calls/pending-call'
import { whenOver } from '../checks/promises'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import { type Payload, takeApart } from '../memory/payload'
import { siteOf } from '../process/call-site'
import { calls } from '../process/tracing'
import type { AddressDialer } from './address-dialer'
import type { ClientLifecycle } from './client-lifecycle'

/** Gives a call to a connection, or has it wait for one. Throws where no more may wait. */
type StartOrWait = (call: PendingCall, request: Payload) => void

/** As `call` of a pool or mux; `cancel` makes the message that tells the server of a call that was given up. */
export type CancellableCall<Client> = (
  client: Client,
  request: Payload,
  options: CallOptions | undefined,
  cancel: (() => Payload) | undefined,
) => Promise<Buffer>

/**
 * As {@link CancellableCall}, where a promise is there already: `resolve` or `reject` is called. A signal that a user has made
 * may have `reject` called twice.
 */
export type StartedCall<Client> = (
  client: Client,
  request: Payload,
  options: CallOptions | undefined,
  cancel: (() => Payload) | undefined,
  resolve: (reply: Buffer) => void,
  reject: (error: unknown) => void,
) => void

/** Makes the calls of a pool or mux. */
export class CallMaker {
  readonly #dialer: AddressDialer
  readonly #lifecycle: ClientLifecycle
  readonly #startOrWait: StartOrWait
  readonly #client: object

  /** `client` is the pool or mux, as users have it. */
  constructor(client: object, dialer: AddressDialer, lifecycle: ClientLifecycle, startOrWait: StartOrWait) {
    this.#client = client
    this.#dialer = dialer
    this.#lifecycle = lifecycle
    this.#startOrWait = startOrWait
  }

  /** `entry` is the public function that the user has called; `cancel` makes what tells the server that it was given up. */
  call<Bytes extends BytesOption>(
    request: Payload,
    options: CallOptions | undefined,
    entry: (...parameters: never[]) => unknown,
    cancel?: (() => Payload) | undefined,
  ): Promise<MessageTypes[Bytes]> {
    return calls.hasSubscribers
      ? this.#traced<Bytes>(request, options, entry, cancel)
      : this.#call<Bytes>(request, options, entry, cancel)
  }

  /** As {@link call}, of a promise that its caller has made: `resolve` or `reject` is called, maybe before this returns. */
  start(
    request: Payload,
    options: CallOptions | undefined,
    entry: (...parameters: never[]) => unknown,
    cancel: (() => Payload) | undefined,
    resolve: (reply: Buffer) => void,
    reject: (error: unknown) => void,
  ): void {
    if (calls.hasSubscribers)
      whenOver(this.#traced<'buffer'>(request, options, entry, cancel), resolve, reject)
    else this.#begin(request, options, entry, cancel, resolve, reject)
  }

  /** Apart, because a function that contains another one allocates for it, whether or not it comes to that. */
  #traced<Bytes extends BytesOption>(
    request: Payload,
    options: CallOptions | undefined,
    entry: (...parameters: never[]) => unknown,
    cancel: (() => Payload) | undefined,
  ): Promise<MessageTypes[Bytes]> {
    const about = { client: this.#client, request }
    return calls.promise(about, () => this.#call<Bytes>(request, options, entry, cancel))
  }

  #call<Bytes extends BytesOption>(
    request: Payload,
    options: CallOptions | undefined,
    entry: (...parameters: never[]) => unknown,
    cancel: (() => Payload) | undefined,
  ): Promise<MessageTypes[Bytes]> {
    return new Promise((resolve, reject) => this.#begin(request, options, entry, cancel, resolve, reject))
  }

  #begin(
    request: Payload,
    options: CallOptions | undefined,
    entry: (...parameters: never[]) => unknown,
    cancel: (() => Payload) | undefined,
    resolve: (reply: Buffer) => void,
    reject: (error: unknown) => void,
  ): void {
    let call: PendingCall | undefined
    try {
      this.#dialer.checkCalls()
      const message = takeApart(request)
      call = new PendingCall(options, this.#dialer.requestTimeout, resolve, reject, siteOf(entry))
      call.cancel = cancel
      // The user's own list, options or signal may have closed the pool or mux, or aborted the call.
      this.#lifecycle.checkOpen()
      if (!call.isSettled) this.#startOrWait(call, message)
    } catch (error) {
      refuseAtOnce(call, error, reject, entry)
    }
  }
}
