import { NetpollError } from './errors'
import type { Written } from './link-buffer/pieces'
import { Operation, type Target } from './outbox'
import type { Payload } from './payload'
import type { Profile } from './profile'

/** A `send` or `flush` that waits until the peer has read. */
interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** What one connection sends, and whether its peer keeps up. */
export class Output {
  readonly #target: Target
  readonly #profile: Profile
  #congested = false
  /** Bytes sent in the current turn, since the core was last asked whether it can keep up. */
  #burst = 0
  #turn = 0
  #waiters: Waiter[] | undefined

  constructor(target: Target, profile: Profile) {
    this.#target = target
    this.#profile = profile
  }

  /** Whether more waits to be sent than the high-water mark. */
  get isCongested(): boolean {
    return this.#congested
  }

  /** Queues one message. */
  send(message: Payload): void {
    const { loop, framing } = this.#profile
    this.#queued(loop.outbox.message(Operation.Send, this.#target, framing, message))
  }

  /** Queues what a writer has collected. */
  flush(written: Written): void {
    if (written.length === 0) return
    const { loop, framing } = this.#profile
    this.#queued(loop.outbox.written(this.#target, framing, written))
  }

  /** Resolves when more may be sent. */
  drained(): Promise<void> {
    if (!this.#congested) return resolved
    return unheard(
      new Promise((resolve, reject) => {
        this.#waiters ??= []
        this.#waiters.push({ resolve, reject })
      }),
    )
  }

  /** The core says that more waits than the high-water mark. */
  congested(): void {
    this.#congested = true
  }

  /** The core says that it is no longer so. */
  relieved(): void {
    this.#congested = false
    for (const waiter of this.#takeWaiters()) waiter.resolve()
  }

  /** Nothing more will be sent. */
  end(error: unknown): void {
    this.#congested = false
    for (const waiter of this.#takeWaiters()) waiter.reject(error)
  }

  #queued(bytes: number): void {
    const { loop, highWaterMark } = this.#profile
    const { slot, generation } = this.#target
    const { turn } = loop.outbox
    this.#burst = turn === this.#turn ? this.#burst + bytes : bytes
    this.#turn = turn
    if (this.#burst < highWaterMark) return
    // Who sends in a loop without letting the event loop turn has to learn of a slow peer, too.
    this.#burst = 0
    loop.outbox.carryOut()
    // Once congested, the core's word that it is over ends it, and nothing else: those who wait hear it then.
    this.#congested ||= loop.native.isCongested({ slot, generation })
  }

  #takeWaiters(): readonly Waiter[] {
    const waiters = this.#waiters ?? []
    this.#waiters = undefined
    return waiters
  }
}

/** What {@link Output.drained} gives where nothing has to be waited for: known to be over without a look. */
export const resolved: Promise<void> = Promise.resolve()

/** What `send` and `flush` return when they refuse what they were given. */
export function refusedOutput(error: unknown): Promise<never> {
  const refusal = Promise.reject(error)
  return error instanceof NetpollError && error.code === 'ERR_CONN_CLOSED' ? unheard(refusal) : refusal
}

/** No unhandled rejection where nobody waits: the connection's hooks tell of its end, which is the peer's doing. */
function unheard<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {})
  return promise
}
