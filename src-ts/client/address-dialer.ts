import { addressText } from '../native/address'
import type { ConnectionCore } from '../connection/core'
import type { BufferBound } from '../connection/group'
import { coreOf } from '../connection/connection'
import { captureContext } from '../process/async-context'
import type { DialTarget } from './dial-options'
import { boundOfDialer, checkedOf, Dialer } from './dialer'
import { checkDestination, type Destination, targetNames } from './routes'
import { NetpollError, streamCall } from '../errors'
import { guarded, report, reportDial } from '../process/report'
import { hostRealm } from '../checks/host-realm'
import { takeOptions } from '../checks/known-options'
import { allowListeners } from '../abort'
import type { DialerOptions } from './options'

/** Makes connections to one address, for a pool or mux, in the context in which that was made. */
export class AddressDialer {
  readonly #target: Destination
  readonly #dialer: Dialer
  readonly #context = captureContext()
  readonly #abandonment = new hostRealm.AbortController()

  /** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE` */
  constructor(target: DialTarget, options: DialerOptions) {
    this.#target = checkDestination(takeOptions('address', target, targetNames))
    this.#dialer = new Dialer(options)
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
  const connection = coreOf(await dialer.dial(options))
  if (connection?.isActive !== true || connection.life.isEnding) {
    throw new NetpollError('ERR_CONN_CLOSED', 'The connection ended before it was used')
  }
  return connection
}
