import type { Backoff } from './backoff'
import * as clock from '../time/clock'
import type { ConnectionCore } from '../connection/core'
import { whenOver } from '../checks/promises'
import { clearTimeout, setTimeout } from '../time/timers'

/** Where a {@link Reconnector} is. */
const State = {
  /** No caller needs a connection. */
  Resting: 0,
  /** It waits until the next attempt is due. */
  Waiting: 1,
  Dialing: 2,
  /** There is a connection. */
  Connected: 3,
} as const

type State = (typeof State)[keyof typeof State]

/** How a {@link Reconnector} dials, and what it tells. */
export interface ReconnectorOptions {
  readonly dial: () => Promise<ConnectionCore>
  readonly backoff: Backoff
  readonly connected: (connection: ConnectionCore, reconnector: Reconnector) => void
  /** An attempt has failed. The owner asks again where a connection is still needed. */
  readonly failed: (error: unknown) => void
}

/** Sees to one connection: dials it when it is needed, and after a loss no sooner than the back-off allows. */
export class Reconnector {
  readonly #options: ReconnectorOptions
  #state: State = State.Resting
  #notBefore = 0
  #timer: NodeJS.Timeout | undefined
  #referenced = false

  constructor(options: ReconnectorOptions) {
    this.#options = options
  }

  /** Whether a dial is under way. */
  get isDialing(): boolean {
    return this.#state === State.Dialing
  }

  /** A connection is needed. */
  need(): void {
    if (this.#state !== State.Resting) return
    const delay = Math.ceil(this.#notBefore - clock.now())
    if (delay <= 0) {
      this.#dial()
      return
    }
    this.#state = State.Waiting
    this.#timer = setTimeout(() => this.#dial(), delay)
    if (!this.#referenced) this.#timer.unref()
  }

  /** The connection has answered: after its loss the next comes soon. */
  proved(): void {
    this.#options.backoff.reset()
  }

  /** The connection is lost, or takes no more requests. */
  lost(): void {
    this.#rest()
  }

  /** The connection serves no longer, and that is not the peer's fault: the next may come at once. */
  replaced(): void {
    this.#state = State.Resting
    this.#notBefore = 0
  }

  /** A caller waits for a connection: the process stays alive until the next attempt. */
  ref(): void {
    this.#referenced = true
    this.#timer?.ref()
  }

  /** No caller waits for a connection. */
  unref(): void {
    this.#referenced = false
    this.#timer?.unref()
  }

  /** No connection is needed any more. The owner has to abandon a dial that is under way. */
  stop(): void {
    clearTimeout(this.#timer)
    if (this.#state === State.Waiting) this.#state = State.Resting
  }

  #dial(): void {
    this.#timer = undefined
    this.#state = State.Dialing
    whenOver(
      this.#options.dial(),
      (connection) => {
        this.#state = State.Connected
        this.#options.connected(connection, this)
      },
      (error) => {
        this.#rest()
        this.#options.failed(error)
      },
    )
  }

  #rest(): void {
    this.#state = State.Resting
    this.#notBefore = clock.now() + this.#options.backoff.delay()
  }
}
