import { NetpollError, withoutStack } from '../errors'
import { Operation } from '../native/protocol-numbers'
import type { Ender } from '../native/reasons'
import type { CommandQueue, CommandTarget } from '../poller/command-queue'
import { stepBudget } from '../time/step-budget'
import { afterMicrotasks } from '../time/timers'
import type { Life } from './life'
import type { Retention } from './retention'

/** A connection, as far as its end concerns what it is made of. */
export interface ClosingConnection extends CommandTarget {
  readonly retention: Pick<Retention, 'follow'>
  /** A reader gets `error`; a loop over messages gets `failure`, or just their end. */
  inputEnded(error: () => NetpollError, failure?: NetpollError): void
  /** Nothing of the peer is taken any more, so no reply comes: the callers need not wait for the end. */
  failCalls(error: NetpollError): void
  /** No late reply is waited for. */
  forgetLostCalls(): void
  /** Whether a duplex has taken it over, whose errors tell of its end. */
  readonly isDuplex: boolean
  /** Whether the user was told `error` at the end of what is read, or by the signal. */
  isTold(error: unknown): boolean
  /** The peer has gone, or the connection closes. Runs code of users, so it comes last. */
  abortSignal(): void
  /** Reports an error that does not end it. */
  tell(error: unknown): void
}

/** How a connection is closed, and why. */
export class Closing {
  readonly #connection: ClosingConnection
  readonly #life: Life
  readonly #commandQueue: Pick<CommandQueue, 'command'>
  #error: NetpollError | undefined
  /** Why it ends in order, if there is more to say than that it was closed. */
  #ending: unknown
  /** What has ended it, the first of what has. */
  #ender: Ender | 'user' | undefined
  #waiters: (() => void)[] | undefined

  constructor(connection: ClosingConnection, life: Life, commandQueue: Pick<CommandQueue, 'command'>) {
    this.#connection = connection
    this.#life = life
    this.#commandQueue = commandQueue
  }

  /** Why it ends, where it is not in order. */
  get error(): NetpollError | undefined {
    return this.#error
  }

  /** What has ended it, or is about to. What follows from that, as a peer that ends in return, changes nothing. */
  get ender(): Ender | 'user' {
    return this.#ender ?? 'user'
  }

  closedError(): NetpollError {
    return new NetpollError('ERR_CONN_CLOSED', 'The connection is closed', {
      cause: this.#error ?? this.#ending,
    })
  }

  close(): Promise<void> {
    if (this.#life.isOpen) {
      this.#ender ??= 'user'
      this.#life.leave()
      this.#stopInput()
      afterReplies(() => {
        if (this.#life.isLeavingNow) this.#closeNow()
      })
    } else if (this.#life.isConnecting) {
      this.#closeNow()
    }
    return this.#gone()
  }

  destroy(error: unknown): void {
    if (error !== undefined && !this.#life.isClosed) {
      this.#error ??= new NetpollError('ERR_CONN_CLOSED', 'The connection was destroyed', { cause: error })
    }
    this.#abandon(Operation.Destroy)
  }

  resetAndDestroy(): void {
    this.#abandon(Operation.Reset)
  }

  /** The peer has sent what is refused: tells so, and closes once the replies before it have left. */
  refuse(error: NetpollError): void {
    this.#ender ??= 'failure'
    this.#error ??= error
    this.#connection.tell(error)
    this.#closeNow()
    this.#connection.failCalls(error)
  }

  /** Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void {
    // A reader that read until the end and let that be thrown has nothing to report: `onDisconnect` tells of it.
    if (!this.#connection.isTold(error)) this.#connection.tell(error)
    this.#ending ??= error
    this.#closeNow()
    this.#connection.failCalls(
      new NetpollError('ERR_CONN_CLOSED', 'The connection was closed', { cause: error }),
    )
  }

  /** It was idle for too long. */
  timedOut(): void {
    this.#ender ??= 'failure'
    this.#error ??= withoutStack(
      () => new NetpollError('ERR_IDLE_TIMEOUT', 'Nothing was sent or received within idleTimeout'),
    )
    this.#closeNow()
  }

  /** The core has refused what the peer has sent, and closes. */
  refused(error: NetpollError, ender: Ender): void {
    this.#ender ??= ender
    this.#life.refused()
    const isFirst = this.#error === undefined
    this.#error ??= error
    this.#connection.failCalls(error)
    this.#connection.inputEnded(() => error, error)
    if (isFirst && !this.#connection.isDuplex) this.#connection.tell(error)
    this.#connection.abortSignal()
  }

  /** The peer has ended its direction. */
  peerEnded(): void {
    this.#ender ??= 'peer'
    const failure = this.#error
    const end = peerEnded()
    this.#ending ??= end
    this.#connection.inputEnded(() => failure ?? end, failure)
  }

  /** No reply comes. The connection may stay for long, also where it closes by itself: handlers may wait for such calls. */
  unanswered(): void {
    if (this.#life.isClosed) return
    const error = new NetpollError('ERR_CONN_CLOSED', 'The peer has ended the connection', {
      cause: this.#error ?? this.#ending,
    })
    this.attempt(() => this.#connection.failCalls(error))
  }

  /** It is gone; returns what the callers that wait are told. */
  over(unreported: NetpollError | undefined, ender: Ender): () => NetpollError {
    if (unreported !== undefined) this.#ender ??= ender
    this.#error ??= unreported
    // Made for the callers that wait alone: its stack costs more than the rest of closing, and mostly there are none.
    let made = this.#error
    return () => {
      made ??= closedHere(this.#ending)
      return made
    }
  }

  /** Tells that it is gone. Whatever one of them throws, the others hear of the end: some of them wait for nothing else. */
  tellEach(parts: readonly (() => void)[]): void {
    for (const tell of parts) this.attempt(tell)
    for (const resolve of this.#waiters ?? []) resolve()
    this.#waiters = undefined
  }

  /** Reports what `work` throws. */
  attempt(work: () => void): void {
    try {
      work()
    } catch (failure) {
      this.#connection.tell(failure)
    }
  }

  /** Takes nothing more from the peer, which counts for the answers that are still to be sent. */
  #stopInput(): void {
    this.#connection.retention.follow()
    this.#connection.forgetLostCalls()
    this.#connection.inputEnded(closedHere)
    this.#connection.abortSignal()
  }

  /** Sends what was accepted, and nothing else, then closes. */
  #closeNow(): void {
    if (!this.#life.sendsReplies) return
    this.#ender ??= 'user'
    this.#commandQueue.command(Operation.Close, this.#connection)
    const hasStopped = this.#life.isLeavingNow
    this.#life.close()
    if (!hasStopped) this.#stopInput()
  }

  #abandon(operation: typeof Operation.Destroy | typeof Operation.Reset): void {
    if (this.#life.isClosed) return
    this.#ender ??= 'user'
    this.#life.close()
    this.#connection.retention.follow()
    this.#connection.forgetLostCalls()
    this.#commandQueue.command(operation, this.#connection)
    this.#connection.inputEnded(() => this.#error ?? closedHere())
    this.#connection.abortSignal()
  }

  #gone(): Promise<void> {
    if (this.#life.isClosed) return stepBudget.pass() ?? resolved
    return new Promise((resolve) => {
      this.#waiters ??= []
      this.#waiters.push(resolve)
    })
  }
}

const resolved = Promise.resolve()

/** Does `work` behind the replies of handlers that return in this turn: once its promises have called back. */
export const afterReplies = afterMicrotasks

function closedHere(cause?: unknown): NetpollError {
  return new NetpollError(
    'ERR_CONN_CLOSED',
    'The connection was closed',
    cause === undefined ? {} : { cause },
  )
}

function peerEnded(): NetpollError {
  return withoutStack(() => new NetpollError('ERR_EOF', 'The peer has ended the connection'))
}
