import { NetpollError } from './errors'

/** Options of `connection.call`. */
export interface CallOptions {
  /** Milliseconds until the call rejects with `ERR_REQUEST_TIMEOUT`, 0 for never. Default: `requestTimeout`. */
  readonly timeout?: number
  /** Rejects the call with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * A call that waits for its reply. One that was given up keeps its place: its late reply is dropped
 * there and reaches no other call.
 */
class PendingCall {
  next: PendingCall | undefined
  /** When it is given up, on the clock of `performance.now()`; `Infinity` for never, and once it is settled. */
  deadline: number
  readonly #timeout: number
  readonly #resolve: (reply: Uint8Array) => void
  readonly #reject: (error: unknown) => void
  readonly #signal: AbortSignal | undefined
  readonly #aborted: (() => void) | undefined

  constructor(
    deadline: number,
    timeout: number,
    signal: AbortSignal | undefined,
    resolve: (reply: Uint8Array) => void,
    reject: (error: unknown) => void,
  ) {
    this.deadline = deadline
    this.#timeout = timeout
    this.#resolve = resolve
    this.#reject = reject
    this.#signal = signal
    this.#aborted = signal === undefined ? undefined : () => this.fail(signal.reason)
    if (this.#aborted !== undefined) signal?.addEventListener('abort', this.#aborted, { once: true })
  }

  succeed(reply: Uint8Array): void {
    this.#settle()
    this.#resolve(reply)
  }

  fail(error: unknown): void {
    this.#settle()
    this.#reject(error)
  }

  expire(): void {
    this.fail(new NetpollError('ERR_REQUEST_TIMEOUT', `No reply within ${this.#timeout} ms`))
  }

  #settle(): void {
    this.deadline = Number.POSITIVE_INFINITY
    if (this.#aborted !== undefined) this.#signal?.removeEventListener('abort', this.#aborted)
  }
}

/** Calls of one connection, in the order in which their replies come. */
export class CallQueue {
  #head: PendingCall | undefined
  #tail: PendingCall | undefined

  get isEmpty(): boolean {
    return this.#head === undefined
  }

  append(
    deadline: number,
    timeout: number,
    signal: AbortSignal | undefined,
    resolve: (reply: Uint8Array) => void,
    reject: (error: unknown) => void,
  ): void {
    const call = new PendingCall(deadline, timeout, signal, resolve, reject)
    if (this.#tail === undefined) this.#head = call
    else this.#tail.next = call
    this.#tail = call
  }

  /** Gives the oldest call its reply. */
  reply(message: Uint8Array): void {
    const call = this.#head
    if (call === undefined) return
    this.#head = call.next
    if (call.next === undefined) this.#tail = undefined
    call.succeed(message)
  }

  /** Gives up the calls whose time is over at `now`; returns when the next one's is, `Infinity` for never. */
  expire(now: number): number {
    let earliest = Number.POSITIVE_INFINITY
    for (let call = this.#head; call !== undefined; call = call.next) {
      if (call.deadline <= now) call.expire()
      else earliest = Math.min(earliest, call.deadline)
    }
    return earliest
  }

  /** Fails every call. */
  failAll(error: NetpollError): void {
    let call = this.#head
    this.#head = undefined
    this.#tail = undefined
    for (; call !== undefined; call = call.next) call.fail(error)
  }
}
