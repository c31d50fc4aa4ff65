import { isIP } from 'node:net'

import { addressText } from '../native/address'
import type { ConnectionCore } from '../connection/core'
import type { BufferBound } from '../connection/group'
import { coreOf } from '../connection/connection'
import { captureContext } from '../process/async-context'
import type { DialTarget } from './dial-options'
import { boundOfDialer, checkedOf, Dialer, spreadDials } from './dialer'
import { checkDestination, type Destination, targetNames } from './routes'
import type { Spread } from './spread'
import { endedEarly } from './ended-early'
import { type NetpollError, streamCall } from '../errors'
import { guarded, report, reportDial } from '../process/report'
import { hostRealm } from '../checks/host-realm'
import { takeOptions } from '../checks/known-options'
import { allowListeners } from '../abort'
import type { DialerOptions } from './options'
import type { ClientTlsOptions } from '../tls/options'

/**
 * Makes connections to one address, for a pool or mux, in the context in which that was made. A name is looked up by each
 * dial, and connections spread over its addresses.
 */
export class AddressDialer {
  readonly #target: Destination
  readonly #dialer: Dialer
  readonly #context = captureContext()
  /** Of a name. */
  readonly #spread: Spread | undefined
  readonly #abandonment = new hostRealm.AbortController()

  /** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
  constructor(target: DialTarget, options: DialerOptions) {
    this.#target = checkDestination(takeOptions('address', target, targetNames))
    this.#dialer = new Dialer(options)
    if ('host' in this.#target && isIP(this.#target.host) === 0) this.#spread = spreadDials(this.#dialer)
    // As many dials as there are under way.
    allowListeners(this.#abandonment.signal)
  }

  /** The address that it dials, for people. */
  get text(): string | undefined {
    const target = this.#target
    return addressText('path' in target ? target.path : target)
  }

  /** Milliseconds that a call waits which says nothing else. */
  get requestTimeout(): number {
    return checkedOf(this.#dialer).requestTimeout
  }

  /** @throws NetpollError `ERR_UNSUPPORTED` where there is no framing */
  checkCalls(): void {
    if (checkedOf(this.#dialer).framing.isStream) throw streamCall()
  }

  /**
   * Dials. What has ended already is not given out.
   *
   * @throws NetpollError (as a rejection) as `dialer.dial`; `ERR_CONN_CLOSED`
   */
  dial(): Promise<ConnectionCore> {
    return this.#context.run(dial, this.#dialer, { ...this.#target, signal: this.#abandonment.signal })
  }

  /** As `dialer.setSecureContext`. */
  setSecureContext(options: ClientTlsOptions): void {
    this.#dialer.setSecureContext(options)
  }

  /** A connection gets no more calls: the next may go where it has gone. */
  release(connection: ConnectionCore): void {
    this.#spread?.release(connection)
  }

  /** A connection ended before it was of use. The next goes elsewhere, where there are other addresses. */
  distrust(connection: ConnectionCore): void {
    this.#spread?.distrust(connection)
  }

  /** What counts against `maxBufferedBytes` of its connections. */
  get bound(): BufferBound {
    return boundOfDialer(this.#dialer)
  }

  /** Gives up all dials, now and from now on. */
  abandon(reason: NetpollError): void {
    this.#abandonment.abort(reason)
  }

  /** Calls a user's function that is told something. What it throws is reported. */
  tell<A, B>(listener: (a: A, b: B) => unknown, a: A, b: B): void {
    guarded(
      () => this.#context.run(listener, a, b),
      (error) => report(checkedOf(this.#dialer).hooks.onError, error, undefined, this.#context),
    )
  }

  /** Tells of the failure of a dial that no caller waits for. */
  report(error: unknown): void {
    reportDial(checkedOf(this.#dialer).hooks.onError, error, this.#context)
  }
}

async function dial(dialer: Dialer, options: Parameters<Dialer['dial']>[0]): Promise<ConnectionCore> {
  const connection = coreOf(await dialer.dial(options)) as ConnectionCore
  if (!connection.isActive || connection.life.isEnding) {
    throw endedEarly(connection)
  }
  return connection
}
