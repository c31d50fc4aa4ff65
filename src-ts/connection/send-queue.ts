import { isOurs, type NetpollError, ownError } from '../errors'
import type { Written } from '../link-buffer/pieces'
import { Operation } from '../native/protocol-numbers'
import type { CommandTarget, Whereabouts } from '../poller/command-queue'
import {
  type Caller,
  type CallSite,
  type Entry,
  refuseAt,
  rejectCall,
  siteOfCaller,
} from '../process/call-site'
import { stepBudget } from '../time/step-budget'
import type { Payload } from '../memory/payload'
import type { GroupSettings } from './group-settings'
import { whenRejected } from '../checks/promises'
import { ignore } from '../checks/thenables'

/**
 * How much of the bytes that the system took at once counts against the high-water mark. Those wait nowhere, so four marks of
 * them leave before the event loop turns. It still turns, for the sake of other connections.
 */
const shareAtOnce = 0.25

/** Waiting sends and flushes of a connection that get an error of their own. As many errors say at once who waits. */
const maxOwn = 100

/** A send or flush that waits, or several. */
interface Waiter {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly fail: (error: NetpollError) => void
}

type SendQueueSettings = Pick<GroupSettings, 'framing' | 'highWaterMark' | 'poller'>

/** What one connection sends, whether its peer keeps up, and whether the event loop does. */
export class SendQueue {
  readonly #target: CommandTarget
  readonly #group: SendQueueSettings
  #congested = false
  /** Bytes sent since the core was last asked whether it can keep up, while {@link CommandQueue.turn} was this. */
  #burst = 0
  #burstTurn = 0
  /** What counts against the high-water mark since the event loop has turned: the bytes that were queued, and {@link shareAtOnce}. */
  #queued = 0
  #total = 0
  /** What it was when nothing was left unsent, as far as that was asked for. */
  #sentTotal = 0
  #turn = 0
  /** They are over at the same time. */
  #waiters: Waiter[] = []
  /** A stream's write that waits. */
  #ready: (() => void) | undefined
  /** Whether something waits, which keeps the process alive. */
  #retains = false
  /** Whether the pace will tell when the event loop has turned. */
  #isPaced = false

  constructor(target: CommandTarget, group: SendQueueSettings) {
    this.#target = target
    this.#group = group
  }

  /** Whether more waits to be sent than the high-water mark. */
  get isCongested(): boolean {
    return this.#congested
  }

  /** Whether more may be sent at once. If not, that waits for the peer, or for the event loop to turn. */
  get isReady(): boolean {
    if (this.#congested || stepBudget.isSpent) return false
    return this.#queued < this.#group.highWaterMark || !stepBudget.isNow(this.#turn)
  }

  /** Bytes that were queued so far, without what handlers have replied. */
  get total(): number {
    return this.#total
  }

  /**
   * Whether the system does not take now what was queued. `mayReply` says that handlers reply, which is not in
   * {@link total}. Asks the core, so not for each message.
   */
  isBehind(mayReply: boolean): boolean {
    if (this.#congested) return true
    if (this.#total === this.#sentTotal && !mayReply) return false
    const { slot, generation } = this.#target
    const total = this.#total
    if (this.#group.poller.native.unsent({ slot, generation }) > 0) return true
    this.#sentTotal = total
    return false
  }

  /** Queues one message. */
  send(message: Payload): void {
    const { poller, framing } = this.#group
    this.#sent(poller.commandQueue.message(Operation.Send, this.#target, framing, message))
  }

  /** Sends bytes of a stream, by {@link CommandQueue.byReference}. */
  sendByReference(bytes: Uint8Array): Whereabouts {
    const { poller, framing } = this.#group
    const whereabouts = poller.commandQueue.byReference(this.#target, framing, bytes)
    if (whereabouts === 'sent') this.#left(bytes.length)
    else this.#sent(bytes.length)
    return whereabouts
  }

  /** Queues what a writer has collected. */
  flush(written: Written): void {
    if (written.length === 0) {
      stepBudget.step(0)
      return
    }
    const { poller, framing } = this.#group
    this.#sent(poller.commandQueue.written(this.#target, framing, written))
  }

  /** Resolves when more may be sent. `caller` is who waits for that. */
  drained(caller: Caller): Promise<void> {
    if (this.isReady) return resolved
    const waiters = this.#waiters
    const site = siteOfCaller(caller)
    // Users may send however much and wait for none of it, which is to cost no promise for each.
    const last = waiters[maxOwn - 1]
    if (last !== undefined && site === undefined) return last.promise
    const waiter = newWaiter(site)
    waiters.push(waiter)
    if (waiters.length === 1) this.#wait()
    return waiter.promise
  }

  /** Calls `ready`, which must not throw, once {@link isReady} holds again, unless the connection ends before. */
  whenReady(ready: () => void): void {
    this.#ready = ready
    this.#wait()
  }

  /** The core says that more waits than the high-water mark. */
  congested(): void {
    this.#congested = true
  }

  /** The core says that it is no longer so. */
  relieved(): void {
    this.#congested = false
    if (!this.#retains) return
    if (this.isReady) this.#proceed()
    else this.#wait()
  }

  /** Nothing more will be sent. */
  end(error: () => NetpollError): void {
    this.#congested = false
    const waiters = this.#waiters
    this.#forget()
    for (const waiter of waiters) waiter.fail(error())
  }

  #sent(bytes: number): void {
    this.#count(bytes, bytes)
    this.#askAfter(bytes)
  }

  /** The system has taken all of it, which shows that the peer keeps up. */
  #left(bytes: number): void {
    this.#count(bytes, bytes * shareAtOnce)
    this.#total += bytes
  }

  #count(bytes: number, queued: number): void {
    stepBudget.step(bytes)
    const { turn } = stepBudget
    this.#queued = turn === this.#turn ? this.#queued + queued : queued
    this.#turn = turn
  }

  /** Has the core look whether the peer keeps up, once so many bytes were sent that it may not. */
  #askAfter(bytes: number): void {
    const { poller, highWaterMark } = this.#group
    const { slot, generation } = this.#target
    const { turn } = poller.commandQueue
    this.#total += bytes
    this.#burst = turn === this.#burstTurn ? this.#burst + bytes : bytes
    this.#burstTurn = turn
    if (this.#burst < highWaterMark) return
    // A user that sends in a loop without letting the event loop turn has to learn of a slow peer, too.
    this.#burst = 0
    poller.commandQueue.carryOut()
    poller.memory.arena.settle()
    // Once congested, the core's word that it is over ends it, and nothing else: the callers that wait hear it then.
    this.#congested ||= poller.native.isCongested({ slot, generation })
  }

  #wait(): void {
    if (!this.#retains) {
      this.#retains = true
      this.#group.poller.retain()
    }
    // The core's word that the peer has read comes with a turn of the loop.
    if (this.#congested || this.#isPaced) return
    this.#isPaced = true
    stepBudget.wait(() => {
      this.#isPaced = false
      if (!this.#congested) this.#proceed()
    })
  }

  /** What waits may go on. */
  #proceed(): void {
    const waiters = this.#waiters
    const ready = this.#ready
    this.#forget()
    for (const waiter of waiters) waiter.resolve()
    ready?.()
  }

  /** Nothing waits any more. */
  #forget(): void {
    if (this.#waiters.length > 0) this.#waiters = []
    this.#ready = undefined
    if (!this.#retains) return
    this.#retains = false
    this.#group.poller.release()
  }
}

function newWaiter(site: CallSite | undefined): Waiter {
  let resolve!: () => void
  let reject!: (error: unknown) => void
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  // V8 follows a promise to the function that awaits it as long as nothing else does.
  const rejectUnheard = (error: unknown): void => {
    unheard(promise)
    reject(error)
  }
  const fail = (error: NetpollError): void => rejectCall(resolve, rejectUnheard, ownError(error), site)
  return { promise, resolve, fail }
}

/** What {@link SendQueue.drained} gives where nothing has to be waited for: known to be over without a look. */
export const resolved: Promise<void> = Promise.resolve()

/** What `send` and `flush` return when they refuse what they were given. `entry`, where users have called, is running. */
export function refusedSend(error: unknown, entry: Entry): Promise<never> {
  const refusal = refuseAt(error, entry)
  return isOurs(error) && error.code === 'ERR_CONN_CLOSED' ? unheard(refusal) : refusal
}

/** No unhandled rejection where no caller waits: the connection's hooks tell of its end, which is the peer's doing. */
function unheard<T>(promise: Promise<T>): Promise<T> {
  whenRejected(promise, ignore)
  return promise
}
