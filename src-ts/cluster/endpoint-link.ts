import { whenOver } from '../checks/promises'
import { isNetpollError } from '../errors'
import { callOfMux, captureContext, report, startOfMux } from '../extension'
import {
  type CallOptions,
  type ClientTlsOptions,
  Mux,
  type MuxOptions,
  type Payload,
  type PoolStats,
} from '../index'
import type { CheckedEndpoint } from './endpoint'

/** Options of a mux, but for those that a cluster decides. */
export type LinkMuxOptions = Omit<MuxOptions, 'failFast' | 'maxIdleTime' | 'onReadyChange'>

/** A cluster, as the connections to one server see it. */
export interface LinkListener {
  /** Calls can be made from now on, or can no longer. */
  readyChanged(): void
  /** An attempt to connect has failed. */
  dialFailed(error: unknown): void
}

/** The connections to one server. They are dialed at once, and again whenever they are lost. */
export class EndpointLink {
  readonly #mux: Mux
  readonly #endpoint: CheckedEndpoint
  readonly #onError: MuxOptions['onError']
  readonly #context = captureContext()
  readonly #closing = new AbortController()

  constructor(endpoint: CheckedEndpoint, options: LinkMuxOptions, listener: LinkListener) {
    const { onError } = options
    this.#endpoint = endpoint
    this.#onError = onError
    this.#mux = dialing(endpoint, {
      ...options,
      // A call goes to another server instead.
      failFast: true,
      onReadyChange: () => listener.readyChanged(),
      onError: (error, connection) => {
        if (connection === undefined) listener.dialFailed(error)
        // Without a listener, that a server cannot be reached is in the errors of calls.
        if (onError !== undefined) onError(error, connection)
        else if (connection !== undefined || !isOfSystem(error)) this.#report(error)
      },
    })
    // The failures of later attempts are reported by the mux.
    const { signal } = this.#closing
    whenOver(this.#mux.connect({ signal }), connected, (error) => {
      if (signal.aborted) return
      listener.dialFailed(error)
      if (onError !== undefined || !isOfSystem(error)) this.#report(error)
    })
  }

  /** Whether there is a connection. */
  get isReady(): boolean {
    return this.#mux.isReady
  }

  /** `cancel` makes the message that tells the server of a call that was given up. */
  call(
    request: Payload,
    options: CallOptions | undefined,
    cancel: (() => Payload) | undefined,
  ): Promise<Buffer> {
    return callOfMux(this.#mux, request, options, cancel)
  }

  /** As {@link call}, without a promise for it. What is told runs where a reply was found, and no user's code may. */
  start(
    request: Payload,
    options: CallOptions | undefined,
    cancel: (() => Payload) | undefined,
    resolve: (reply: Buffer) => void,
    reject: (error: unknown) => void,
  ): void {
    startOfMux(this.#mux, request, options, cancel, resolve, reject)
  }

  send(message: Payload): Promise<void> {
    return this.#mux.send(message)
  }

  /** Connections that are dialed from now on go by `tls`. */
  setSecureContext(tls: ClientTlsOptions): void {
    this.#mux.setSecureContext(tlsOf(this.#endpoint, tls))
  }

  stats(): PoolStats {
    return this.#mux.stats()
  }

  /** Closes once its calls have ended, or after `timeout` milliseconds; `undefined` for never. */
  close(timeout: number | undefined): Promise<void> {
    this.#closing.abort()
    return this.#mux.close(timeout === undefined ? {} : { timeout })
  }

  #report(error: unknown): void {
    report(this.#onError, error, undefined, this.#context)
  }
}

/** The one place that makes connections of an endpoint. */
function dialing(endpoint: CheckedEndpoint, options: MuxOptions): Mux {
  const { tls } = options
  if (tls === undefined) return new Mux(endpoint.address, options)
  return new Mux(endpoint.address, { ...options, tls: tlsOf(endpoint, tls === true ? {} : tls) })
}

/** An endpoint's name is asked for, unless the user has given another. */
function tlsOf({ servername }: CheckedEndpoint, tls: ClientTlsOptions): ClientTlsOptions {
  return servername === undefined || tls.servername !== undefined ? tls : { ...tls, servername }
}

const connected = (): void => {}

const isOfSystem = (error: unknown): boolean => isNetpollError(error) && error.errno !== undefined
