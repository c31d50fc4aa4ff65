import { NetpollError, type NetpollErrorCode } from '../errors'
import {
  clearInterval,
  forgetSignal,
  leaks,
  markFollowed,
  maxTimeout,
  QueueEntry,
  reasonOf,
  setInterval,
  WaitQueue,
} from '../extension'
import type { ClusterCall } from './call'

/** A call that waits until a server is ready. */
export class Waiting extends QueueEntry {
  readonly call: ClusterCall
  readonly #resolve: () => void
  readonly #reject: (error: unknown) => void
  readonly #timedOut: () => unknown
  readonly #aborted: () => void

  /** `timedOut` makes the error of a call whose deadline has passed. */
  constructor(
    queue: WaitQueue<Waiting>,
    call: ClusterCall,
    resolve: () => void,
    reject: (error: unknown) => void,
    timedOut: () => unknown,
  ) {
    super()
    const { signal } = call
    this.call = call
    this.#resolve = resolve
    this.#reject = reject
    this.#timedOut = timedOut
    this.#aborted = () => {
      if (!this.isQueued) return
      this.fail(reasonOf(signal))
      queue.leave(this)
    }
    signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  /** When it is given up, on our clock. */
  get deadline(): number {
    return this.call.deadline
  }

  override get awaited(): string {
    return 'a server'
  }

  override get caller(): string | undefined {
    return leaks?.callers.get(this.call)
  }

  /** A server may be ready. */
  serve(): void {
    forgetSignal(this.call.signal, this.#aborted)
    this.#resolve()
  }

  fail(error: unknown): void {
    forgetSignal(this.call.signal, this.#aborted)
    this.#reject(error)
  }

  expire(): void {
    this.fail(this.#timedOut())
  }
}

/** Calls that wait until another server is ready, up to a bound. */
export class WaitingCalls {
  readonly #max: number
  readonly #queue = new WaitQueue<Waiting>(() => this.#follow())
  #aliveWhileWaiting: NodeJS.Timeout | undefined
  /** Why no server is ready. */
  #failure: unknown

  constructor(max: number) {
    this.#max = max
  }

  get length(): number {
    return this.#queue.length
  }

  /** Resolves once the call should look again. */
  wait(call: ClusterCall): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#queue.length >= this.#max) {
        throw noEndpoint(`No server is ready, and ${this.#queue.length} calls wait`, this.#failure)
      }
      const timedOut = (): NetpollError => expired(this.#failure)
      this.#queue.push(new Waiting(this.#queue, call, resolve, reject, timedOut))
      this.#follow()
    })
  }

  /** One more server is ready. */
  serve(): void {
    this.#failure = undefined
    this.wake()
  }

  /** Those that wait look again, all of them unless `isMeant` says which. */
  wake(isMeant?: (waiting: Waiting) => boolean): void {
    if (this.#queue.length === 0) return
    for (const waiting of this.#queue.takeAll(isMeant)) waiting.serve()
    this.#follow()
  }

  /** No server can be had at present: calls without a time limit do not wait for one. */
  unreachable(error: unknown): void {
    this.#failure = error
    const unlimited = this.#queue.takeAll(({ deadline }) => deadline === Number.POSITIVE_INFINITY)
    for (const waiting of unlimited) waiting.fail(noEndpoint('No server is ready', error))
    this.#follow()
  }

  /** No call waits any longer. */
  failAll(error: () => NetpollError): void {
    for (const waiting of this.#queue.takeAll()) waiting.fail(error())
    this.#follow()
  }

  stop(): void {
    this.#queue.stop()
  }

  /** Calls that wait keep the process alive, which nothing else may do. */
  #follow(): void {
    if (this.#queue.length === 0) {
      clearInterval(this.#aliveWhileWaiting)
      this.#aliveWhileWaiting = undefined
    } else {
      this.#aliveWhileWaiting ??= setInterval(ignore, maxTimeout)
    }
  }
}

function ignore(): void {}

/** Says that no server can be had. */
export function noEndpoint(problem: string, cause: unknown): NetpollError {
  return unsent('ERR_NO_ENDPOINT', problem, cause)
}

function expired(cause: unknown): NetpollError {
  return unsent('ERR_REQUEST_TIMEOUT', 'No server was ready in time', cause)
}

function unsent(code: NetpollErrorCode, problem: string, cause: unknown): NetpollError {
  return markFollowed(new NetpollError(code, problem, { sent: false, ...(cause !== undefined && { cause }) }))
}
