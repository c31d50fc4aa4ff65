import type { StreamTransport } from './transport'
import { nextTick } from '../../time/timers'

/** The object that is told what became of a write. */
export type WriteCallback = (error?: Error | null) => void

/** A write of which the core has not said whether it left. */
interface Untold {
  readonly callback: WriteCallback
  /** How many bytes of the connection have left once all of it has. */
  readonly end: number
}

/**
 * Tells users of the writes of a stream whether they have failed. The core takes bytes at once, and learns from the system
 * at the end of the turn that no peer is there for them. Only a write with a callback is looked at before.
 */
export class WriteCallbacks {
  readonly #core: StreamTransport['core']
  readonly #sendQueue: StreamTransport['sendQueue']
  readonly #group: StreamTransport['group']
  /** What {@link SendQueue.total} was when the core was last asked. */
  #asked = 0
  #untold: Untold[] = []
  /** How the connection has ended, and how many bytes had left by then. */
  #end: { readonly error: Error; readonly left: number } | undefined

  constructor({ core, sendQueue, group }: StreamTransport) {
    this.#core = core
    this.#sendQueue = sendQueue
    this.#group = group
  }

  /** The core has taken a write. Its callback is told now, unless the connection is over: then its end is told first. */
  taken(callback: WriteCallback): void {
    if (this.#end !== undefined) callback(this.#failureOf(this.#sendQueue.total))
    else if (this.#isOpen()) callback(null)
    else this.#untold.push({ callback, end: this.#sendQueue.total })
  }

  /** Everything has left. */
  left(): void {
    for (const { callback } of this.#take()) tell(callback, null)
  }

  /** The connection is over, by `error`. Returns whether any callback was told so. */
  over(error: Error): boolean {
    this.#end ??= { error, left: this.#core.socket.bytesWritten }
    let hasFailed = false
    for (const { callback, end } of this.#take()) {
      const failure = this.#failureOf(end)
      hasFailed ||= failure !== null
      tell(callback, failure)
    }
    return hasFailed
  }

  /** Of a write that has left once so many bytes have. */
  #failureOf(end: number): Error | null {
    return this.#end === undefined || this.#end.left >= end ? null : this.#end.error
  }

  #take(): readonly Untold[] {
    return this.#untold.splice(0)
  }

  /** Whether the connection goes on, once what was written is handed to the system as far as that takes it. */
  #isOpen(): boolean {
    const { total } = this.#sendQueue
    if (total === this.#asked) return true
    const { native } = this.#group.poller
    const { slot, generation } = this.#core
    if (native.unsent({ slot, generation }) === 0 && !native.acceptsOutput({ slot, generation })) return false
    this.#asked = total
    return true
  }
}

/** Tells one of several callbacks. One that throws is uncaught, and the others are told. */
function tell(callback: WriteCallback, error: Error | null): void {
  try {
    callback(error)
  } catch (thrown) {
    throwLater(thrown)
  }
}

/** Throws it where no code catches it. */
export function throwLater(error: unknown): void {
  nextTick(rethrow, error)
}

function rethrow(error: unknown): void {
  throw error
}

/** The callback of a write, which may take the place of its encoding. */
export function callbackOf(encoding: unknown, told: unknown): WriteCallback | undefined {
  if (typeof encoding === 'function') return encoding as WriteCallback
  return typeof told === 'function' ? (told as WriteCallback) : undefined
}
