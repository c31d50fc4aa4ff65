import { clock, Deadlines, forgetSignal, isAborted, LazyTimer, OwnController, reasonOf } from '../extension'

/** A first try that may take so long, until a second is made beside it. */
export class Hedge {
  readonly deadline: number
  isSettled = false
  readonly #fire: () => void

  constructor(deadline: number, fire: () => void) {
    this.deadline = deadline
    this.#fire = fire
  }

  fire(): void {
    this.isSettled = true
    this.#fire()
  }
}

/** One timer for all first tries. */
export class HedgeTimer {
  readonly #delay: number
  readonly #deadlines = new Deadlines<Hedge>()
  readonly #timer = new LazyTimer((now) => this.#deadlines.expire(now, (hedge) => this.#fire(hedge)))

  constructor(delay: number) {
    this.#delay = delay
  }

  /** Has `fire` called after the delay, unless it is settled before. */
  start(fire: () => void): Hedge {
    const hedge = new Hedge(clock.now() + this.#delay, fire)
    this.#deadlines.add(hedge)
    this.#timer.arm(hedge.deadline)
    return hedge
  }

  settle(hedge: Hedge): void {
    if (hedge.isSettled) return
    hedge.isSettled = true
    this.#deadlines.settled()
  }

  stop(): void {
    this.#timer.stop()
  }

  #fire(hedge: Hedge): void {
    this.#deadlines.settled()
    hedge.fire()
  }
}

/** Why the slower of two tries is given up. No caller sees it. */
const notNeeded = Symbol('not needed')

/** Two tries of one call, of which the first reply counts; then the other is given up. */
export class TwoTries {
  readonly #signal: AbortSignal | undefined
  readonly #controllers = [new OwnController(), new OwnController()] as const
  readonly #aborted = (): void => this.#abort(reasonOf(this.#signal))

  /** `signal` is the user's. */
  constructor(signal: AbortSignal | undefined) {
    this.#signal = signal
    signal?.addEventListener('abort', this.#aborted, { once: true })
    if (isAborted(signal)) this.#aborted()
  }

  get first(): AbortSignal {
    return this.#controllers[0].signal
  }

  get second(): AbortSignal {
    return this.#controllers[1].signal
  }

  /** What still runs is of no use. */
  end(): void {
    forgetSignal(this.#signal, this.#aborted)
    this.#abort(notNeeded)
  }

  #abort(reason: unknown): void {
    for (const controller of this.#controllers) controller.abort(reason)
  }
}
