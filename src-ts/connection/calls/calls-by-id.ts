import {
  type Calls,
  type CallsListener,
  expireCalls,
  type PendingCall,
  tooManyLost,
  watchDeadline,
  wornOut,
} from './pending-call'
import { Deadlines } from '../../time/deadlines'
import { NetpollError } from '../../errors'
import { type Ids, idOf, type MessageId, withoutId } from '../../framing/message-id'
import type { Payload } from '../../memory/payload'

/** Ids of calls that were given up, at most: some 50 bytes each. Of narrow ids no more than half are kept. */
const maxLost = 2 ** 16

/**
 * Calls of one connection, by the ids that requests and replies carry. Of a call that is given up only the id is kept.
 * It is kept until the late reply has come: until then no other call may have it.
 */
export class CallsById implements Calls {
  readonly #ids: Ids
  readonly #listener: CallsListener
  readonly #maxLost: number
  readonly #calls = new Map<MessageId, PendingCall>()
  readonly #lost = new Set<MessageId>()
  readonly #deadlines = new Deadlines<PendingCall>()
  /** The id of the next message, as the core has read it. */
  #idFromCore: MessageId | undefined

  constructor(ids: Ids, listener: CallsListener) {
    this.#ids = ids
    this.#listener = listener
    this.#maxLost = Math.min(maxLost, ids.count / 2)
  }

  get isAwaited(): boolean {
    return this.#calls.size > 0
  }

  get waiting(): number {
    return this.#calls.size
  }

  get isClean(): boolean {
    return this.#calls.size === 0
  }

  get lost(): number {
    return this.#lost.size
  }

  get isWornOut(): boolean {
    return this.#lost.size >= this.#maxLost
  }

  prepare(call: PendingCall, request: Payload): void {
    // First, because the user's function may call as well.
    const id = this.#ids.ofRequest(request)
    if (this.isWornOut) throw tooManyLost(this.#lost.size)
    if (id === undefined) throw withoutId()
    if (this.#calls.has(id)) throw new NetpollError('ERR_DUPLICATE_ID', `The id ${id} is in flight already`)
    if (this.#lost.has(id)) {
      const message = `The id ${id} is that of a call that was given up, and can still be answered`
      throw wornOut(new NetpollError('ERR_DUPLICATE_ID', message))
    }
    call.id = id
  }

  append(call: PendingCall): void {
    this.#calls.set(call.id as MessageId, call)
    call.calls = this
    watchDeadline(this.#deadlines, call)
    if (this.#calls.size === 1) this.#listener.waiting()
  }

  gaveUp(call: PendingCall): void {
    const id = call.id as MessageId
    this.#calls.delete(id)
    this.#lost.add(id)
    this.#listener.lost(1)
    if (this.#calls.size === 0) this.#listener.idle()
  }

  identify(low: number, high: number): void {
    if (this.#calls.size + this.#lost.size > 0) this.#idFromCore = idOf(low, high)
  }

  reply(message: Buffer): boolean {
    if (this.#calls.size + this.#lost.size === 0) return false
    const id = this.#ids.ofMessage(message, this.#idFromCore)
    this.#idFromCore = undefined
    if (id === undefined) return false
    const call = this.#calls.get(id)
    if (call !== undefined) {
      this.#calls.delete(id)
      if (this.#calls.size === 0) this.#listener.idle()
      call.reply(message)
      return true
    }
    if (!this.#lost.delete(id)) return false
    this.#listener.lost(-1)
    this.#listener.answeredLate()
    return true
  }

  expire(due: number): number {
    return expireCalls(this.#deadlines, due)
  }

  forgetLost(): void {
    this.#listener.lost(-this.#lost.size)
    this.#lost.clear()
  }

  failAll(error: NetpollError, written?: number): void {
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    this.forgetLost()
    // A signal of the user's may abort the others while one is failed: those are not lost.
    for (const call of calls) call.calls = undefined
    for (const call of calls) call.fail(error, written)
  }
}
