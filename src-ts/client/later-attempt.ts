import { Backoff } from './backoff'
import type { DialDeadline } from './dial-deadline'
import { NetpollError } from '../errors'
import type { Attempt, StartTimer } from './happy-eyeballs'

/** Milliseconds between two tries: the least, and what it grows to. */
const pauses = { min: 2, max: 50 }

/** How an attempt that has to wait is tried, and what is told when it fails before it has begun. */
export interface LaterAttemptRules {
  /** Begins to connect; `undefined` when it has to be tried again. What it throws is the attempt's failure. */
  readonly begin: () => Attempt | undefined
  readonly failed: (error: unknown) => void
  readonly deadline: DialDeadline
  readonly startTimer: StartTimer
}

/**
 * An attempt to connect to a unix socket whose backlog is full. TCP waits by itself for a server that does not come to
 * accept. Here the system refuses a caller that does not block. So the attempt is tried again until there is room or
 * the time is over.
 */
export class LaterAttempt implements Attempt {
  readonly #rules: LaterAttemptRules
  readonly #backoff = new Backoff(pauses)
  #begun: Attempt | undefined
  #stopTimer: () => void

  constructor(rules: LaterAttemptRules) {
    this.#rules = rules
    this.#stopTimer = this.#wait()
  }

  abandon(): void {
    if (this.#begun !== undefined) {
      this.#begun.abandon()
      return
    }
    this.#stopTimer()
    this.#rules.failed(new NetpollError('ERR_CONN_CLOSED', 'The dial was given up'))
  }

  #wait(): () => void {
    const { deadline, startTimer } = this.#rules
    return startTimer(deadline.within(this.#backoff.delay()), () => this.#try())
  }

  #try(): void {
    const { begin, deadline, failed } = this.#rules
    try {
      this.#begun = begin()
    } catch (error) {
      failed(error)
      return
    }
    if (this.#begun !== undefined) return
    if (deadline.isOver)
      failed(new NetpollError('ERR_DIAL_TIMEOUT', 'The backlog was full for all of connectTimeout'))
    else this.#stopTimer = this.#wait()
  }
}
