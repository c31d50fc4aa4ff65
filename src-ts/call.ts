import { NetpollError } from './errors'

/** Options of `connection.call`. */
export interface CallOptions {
  /** Milliseconds until the call rejects with `ERR_REQUEST_TIMEOUT`. Default: none. */
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
  readonly #resolve: (reply: Uint8Array) => void
  readonly #reject: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #signal: AbortSignal | undefined
  readonly #aborted = (): void => this.fail(this.#signal?.reason)

  constructor(
    options: CallOptions | undefined,
    resolve: (reply: Uint8Array) => void,
    reject: (error: unknown) => void,
  ) {
    this.#resolve = resolve
    this.#reject = reject
    const timeout = options?.timeout
    if (timeout !== undefined) this.#timer = setTimeout(expire, timeout, this, timeout)
    const signal = options?.signal
    if (signal !== undefined) {
      this.#signal = signal
      signal.addEventListener('abort', this.#aborted, { once: true })
    }
  }

  succeed(reply: Uint8Array): void {
    this.#disarm()
    this.#resolve(reply)
  }

  fail(error: unknown): void {
    this.#disarm()
    this.#reject(error)
  }

  #disarm(): void {
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#aborted)
  }
}

function expire(call: PendingCall, timeout: number): void {
  call.fail(new NetpollError('ERR_REQUEST_TIMEOUT', `No reply within ${timeout} ms`))
}

/** Calls of one connection, in the order in which their replies come. */
export class CallQueue {
  #head: PendingCall | undefined
  #tail: PendingCall | undefined

  get isEmpty(): boolean {
    return this.#head === undefined
  }

  append(
    options: CallOptions | undefined,
    resolve: (reply: Uint8Array) => void,
    reject: (error: unknown) => void,
  ): void {
    const call = new PendingCall(options, resolve, reject)
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

  /** Fails every call. */
  failAll(error: NetpollError): void {
    let call = this.#head
    this.#head = undefined
    this.#tail = undefined
    for (; call !== undefined; call = call.next) call.fail(error)
  }
}
