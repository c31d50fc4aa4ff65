import { isOurs, NetpollError } from '../errors'
import * as clock from '../time/clock'
import { clearTimeout, setTimeout } from '../time/timers'
import { Backoff } from './backoff'

/** Milliseconds until connections are dialed again that are to be kept ready, at most: the first time, and at last. */
const delays = { min: 100, max: 30_000 }

/** What is not dialed meanwhile. */
type Scope =
  /** Connections that are to be kept ready: the last of them could not be had, or ended before it was of use. */
  | 'spare'
  /** Any, even for callers that wait: a peer has asked a connection to leave before it was of use. */
  | 'all'

/** The pause of a pool whose connections were of no use. */
export class DialPause {
  readonly #resume: () => void
  readonly #report: (error: unknown) => void
  readonly #backoff = new Backoff(delays)
  #scope: Scope | undefined
  #timer: NodeJS.Timeout | undefined
  /** Whether it was told that connections end unused, since the last that was of use. */
  #hasToldUnused = false
  #referenced = true

  /** `resume` is called when a pause is over, and `report` is given what no caller waits for. */
  constructor(resume: () => void, report: (error: unknown) => void) {
    this.#resume = resume
    this.#report = report
  }

  /** Whether nothing is dialed, even for callers that wait. */
  get isForAll(): boolean {
    return this.#scope === 'all'
  }

  /** Whether something is not dialed: what is to be kept ready, at least. */
  get isOn(): boolean {
    return this.#scope !== undefined
  }

  /** A connection that was to be kept ready cannot be had: that is tried again later. */
  failedInBackground(error: unknown): void {
    this.#begin('spare')
    if (isOurs(error) && error.code === 'ERR_CONN_CLOSED') this.#tellUnused()
    else this.#report(error)
  }

  /** The peer has ended a connection that was of no use. The next would hardly be, unless this one had lasted. */
  endedUnused(established: number): void {
    if (clock.now() - established >= delays.max) return
    this.#begin('spare')
    this.#tellUnused()
  }

  /** Dials nothing for a while. Keeps the process: what waits is served afterwards. */
  begin(): void {
    this.#begin('all')
  }

  /** A connection was of use: whatever is missing is dialed at once. */
  proved(): void {
    this.#backoff.reset()
    this.#hasToldUnused = false
    if (this.#scope === undefined) return
    this.end()
    this.#resume()
  }

  /** Nothing is kept ready any more; callers still wait for the end of a pause that is for all. */
  stopKeepingReady(): void {
    if (this.#scope === 'spare') this.end()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#scope = undefined
  }

  ref(): void {
    this.#referenced = true
    if (this.#scope === 'all') this.#timer?.ref()
  }

  unref(): void {
    this.#referenced = false
    this.#timer?.unref()
  }

  /** A pause that is on goes on; one for all takes the place of one for what is spare. */
  #begin(scope: Scope): void {
    if (this.#scope === 'all' || this.#scope === scope) return
    this.end()
    this.#scope = scope
    this.#timer = setTimeout(() => {
      this.end()
      this.#resume()
    }, this.#backoff.delay())
    if (scope === 'spare' || !this.#referenced) this.#timer.unref()
  }

  #tellUnused(): void {
    if (this.#hasToldUnused) return
    this.#hasToldUnused = true
    const message = 'Connections that are kept ready end before they are of use'
    this.#report(new NetpollError('ERR_CONN_CLOSED', message))
  }
}
