import { type Calls, expireCalls, type PendingCall, watchDeadline } from './call'
import { Deadlines } from './deadlines'
import { NetpollError } from './errors'
import { type Ids, idOf, type MessageId, withoutId } from './message-id'
import type { Payload } from './payload'

/** Who is told whether any call of a {@link CallTable} waits. */
export interface CallTableListener {
  /** A call waits, the first one. */
  waiting(): void
  /** No call waits any more. */
  idle(): void
}

/**
 * Calls of one connection, by the ids that requests and replies carry. One that is given up keeps its id, until its late
 * reply has come.
 */
export class CallTable implements Calls {
  readonly #ids: Ids
  readonly #listener: CallTableListener
  readonly #calls = new Map<MessageId, PendingCall>()
  readonly #deadlines = new Deadlines<PendingCall>()
  /** Those of them whose callers wait. */
  #waiting = 0
  /** The id of the next message, as the core has read it. */
  #told: MessageId | undefined

  constructor(ids: Ids, listener: CallTableListener) {
    this.#ids = ids
    this.#listener = listener
  }

  get isEmpty(): boolean {
    return this.#waiting === 0
  }

  prepare(call: PendingCall, request: Payload): void {
    const id = this.#ids.ofRequest(request)
    if (id === undefined) throw withoutId()
    if (this.#calls.has(id)) throw new NetpollError('ERR_DUPLICATE_ID', `The id ${id} is in flight already`)
    call.id = id
  }

  append(call: PendingCall): void {
    this.#calls.set(call.id as MessageId, call)
    call.table = this
    watchDeadline(this.#deadlines, call)
    this.#waiting += 1
    if (this.#waiting === 1) this.#listener.waiting()
  }

  identify(low: number, high: number): void {
    if (this.#calls.size > 0) this.#told = idOf(low, high)
  }

  reply(message: Buffer): boolean {
    if (this.#calls.size === 0) return false
    const id = this.#ids.ofMessage(message, this.#told)
    this.#told = undefined
    const call = id === undefined ? undefined : this.#calls.get(id)
    if (id === undefined || call === undefined) return false
    this.#calls.delete(id)
    if (!call.isSettled) this.settled()
    call.reply(message)
    return true
  }

  /** A caller no longer waits. */
  settled(): void {
    this.#waiting -= 1
    if (this.#waiting === 0) this.#listener.idle()
  }

  expire(due: number): number {
    return expireCalls(this.#deadlines, due)
  }

  failAll(error: NetpollError): void {
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    this.#waiting = 0
    for (const call of calls) call.fail(error)
  }
}
