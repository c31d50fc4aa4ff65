import { isOurs, NetpollError } from '../errors'
import * as clock from '../time/clock'
import { LazyTimer } from '../time/lazy-timer'
import { clearTimeout, setTimeout } from '../time/timers'
import { Backoff } from './backoff'

/** Milliseconds until connections are dialed again that are to be kept ready, at most: the first time, and at last. */
const pauses = { min: 100, max: 30_000 }

/** When a pool dials again whose connections were of no use. */
export class DialPauses {
  readonly #resume: () => void
  readonly #report: (error: unknown) => void
  readonly #backoff = new Backoff(pauses)
  readonly #redial = new LazyTimer(() => {
    this.#isBackingOff = false
    this.#resume()
    return Number.POSITIVE_INFINITY
  })
  #isBackingOff = false
  /** Runs while nothing is dialed, even for callers: a peer has asked a connection to leave before it was of use. */
  #dialPause: NodeJS.Timeout | undefined
  /** Whether it was told that connections end unused, since the last that was of use. */
  #hasToldUnused = false
  #referenced = true

  /** `resume` is called when a pause is over, and `report` is given what no caller waits for. */
  constructor(resume: () => void, report: (error: unknown) => void) {
    this.#resume = resume
    this.#report = report
  }

  /** Whether nothing is dialed, even for callers that wait. */
  get isPaused(): boolean {
    return this.#dialPause !== undefined
  }

  /** Whether nothing is dialed to be kept ready. */
  get isBackingOff(): boolean {
    return this.#isBackingOff
  }

  /** A connection that was to be kept ready cannot be had: that is tried again later. */
  failedInBackground(error: unknown): void {
    this.#backOff()
    if (isOurs(error) && error.code === 'ERR_CONN_CLOSED') this.#tellUnused()
    else this.#report(error)
  }

  /** The peer has ended a connection that was of no use. The next would hardly be, unless this one had lasted. */
  endedUnused(established: number): void {
    if (clock.now() - established >= pauses.max) return
    this.#backOff()
    this.#tellUnused()
  }

  /** Dials nothing for a while. Keeps the process: what waits is served afterwards. */
  pause(): void {
    if (this.#dialPause !== undefined) return
    this.#dialPause = setTimeout(() => {
      this.#dialPause = undefined
      this.#resume()
    }, this.#backoff.delay())
    if (!this.#referenced) this.#dialPause.unref()
  }

  /** A connection was of use: whatever is missing is dialed at once. */
  proved(): void {
    this.#backoff.reset()
    this.#hasToldUnused = false
    if (!this.#isBackingOff && this.#dialPause === undefined) return
    this.#isBackingOff = false
    this.endPause()
    this.#resume()
  }

  endPause(): void {
    clearTimeout(this.#dialPause)
    this.#dialPause = undefined
  }

  /** Nothing is kept ready any more. */
  stopKeepingReady(): void {
    this.#redial.stop()
  }

  ref(): void {
    this.#referenced = true
    this.#dialPause?.ref()
  }

  unref(): void {
    this.#referenced = false
    this.#dialPause?.unref()
  }

  /** Keeps nothing ready for a while. */
  #backOff(): void {
    if (this.#isBackingOff) return
    this.#isBackingOff = true
    this.#redial.arm(clock.now() + this.#backoff.delay())
  }

  #tellUnused(): void {
    if (this.#hasToldUnused) return
    this.#hasToldUnused = true
    const message = 'Connections that are kept ready end before they are of use'
    this.#report(new NetpollError('ERR_CONN_CLOSED', message))
  }
}
