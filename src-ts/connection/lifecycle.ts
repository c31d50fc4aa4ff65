import type { Context } from '../process/async-context'
import { channels, publish } from '../process/diagnostics'
import { invalidType, type NetpollError } from '../errors'
import { leaks, type WatchList } from '../leaks/watch-list'
import { alwaysOwed, type Watched, WatchedDebt } from '../leaks/watched'
import { errnoOf, guarded, refusePromise } from '../process/report'
import { stepBudget } from '../time/step-budget'
import type { GroupSettings } from './group-settings'
import type { Facade } from './hooks'
import type { Socket } from './socket'
import { microtask, setImmediate } from '../time/timers'
import { isThenable, whenSettled } from '../checks/thenables'

/** How far the hooks of a connection have come. */
const Phase = {
  /** The user does not know of the connection yet. */
  New: 0,
  /** `onPrepare` runs, or `onConnect`, which may take its time. */
  Opening: 1,
  /** They are done. */
  Open: 2,
  /** `onPrepare` has refused the connection: no other hook runs. */
  Refused: 3,
  /** The last callbacks have run. */
  Over: 4,
} as const

type Phase = (typeof Phase)[keyof typeof Phase]

/** A connection, as far as its hooks need it. */
export interface LivingConnection {
  readonly facade: Facade
  readonly context: Context
  /** Whether it is established, and was not closed. */
  readonly isOpen: boolean
  /** The hooks are done: messages may come. */
  begin(): void
  destroy(): void
  /** Reports `error`, and closes once the replies before it have left. */
  fail(error: unknown): void
  /** Reports an error that does not end it. */
  tell(error: unknown): void
  readonly socket: Pick<Socket, 'keepAddress'>
}

/** How a connection has ended. */
interface End {
  /** Why, where it was not in order. */
  readonly error: NetpollError | undefined
  /** The part of it that no hook was told yet. */
  readonly unreported: NetpollError | undefined
}

/**
 * The hooks of a connection in Netpoll's order, each once: `onPrepare`, `onConnect`, its messages, `onDisconnect`, close
 * callbacks. A connection that ends while `onConnect` runs keeps `onDisconnect` waiting until that is done.
 */
export class Lifecycle {
  readonly #connection: LivingConnection
  readonly #group: Pick<GroupSettings, 'hooks' | 'role'>
  #phase: Phase = Phase.New
  #end: End | undefined
  #callbacks: (() => void)[] | undefined

  constructor(connection: LivingConnection, group: Pick<GroupSettings, 'hooks' | 'role'>) {
    this.#connection = connection
    this.#group = group
  }

  /** Whether the hooks that come before messages are still running. */
  get isOpening(): boolean {
    return this.#phase === Phase.Opening
  }

  /** Whether it waits for the promise of a hook. */
  get isWaiting(): boolean {
    return this.#phase === Phase.Opening || (this.#phase === Phase.Open && this.#end !== undefined)
  }

  /** Runs the hooks that come before messages; a promise while `onConnect` takes its time. */
  open(): void | Promise<void> {
    this.#phase = Phase.Opening
    const connection = this.#connection
    const { onPrepare, onConnect } = this.#group.hooks
    // Refused before any hook was asked: the server is closing, or full.
    if (!connection.isOpen) return this.#refuse()
    try {
      const verdict: unknown =
        onPrepare === undefined ? undefined : connection.context.run(onPrepare, connection.facade, undefined)
      refusePromise('options.onPrepare', verdict, (error) => connection.tell(error))
      if (verdict === false || !connection.isOpen) return this.#refuse()
      if (onConnect === undefined) return this.#opened()
      const pending = connection.context.run(onConnect, connection.facade, undefined)
      return isThenable(pending) ? this.#openedLater(pending) : this.#opened()
    } catch (error) {
      this.#failed(error)
    }
  }

  /** The connection is gone. */
  closed(end: End): void {
    this.#end = end
    if (this.#phase !== Phase.Opening) this.#finish()
  }

  /** Calls `callback` after `onDisconnect`; soon, when that has run already. */
  onClose(callback: () => void): void {
    if (typeof callback !== 'function') throw invalidType('callback', 'of type function', callback)
    if (this.#phase === Phase.Over) stepBudget.settle(() => microtask(() => this.#run(callback)))
    else {
      this.#callbacks ??= []
      this.#callbacks.push(callback)
    }
  }

  #openedLater(pending: PromiseLike<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const watched = leaks && watch(leaks, this.#connection, 'onConnect')
      const settled = (open: () => void): void => {
        leaks?.remove(watched)
        open()
        resolve()
      }
      whenSettled(
        pending,
        () => settled(() => this.#opened()),
        (error) => settled(() => this.#failed(error)),
      )
    })
  }

  #opened(): void {
    // The user of a dialer sets handlers or begins to read only after `dial` has resolved.
    if (this.#group.role === 'client') setImmediate(() => this.#begin())
    else this.#begin()
  }

  #begin(): void {
    this.#phase = Phase.Open
    const connection = this.#connection
    if (channels.connect.hasSubscribers) {
      connection.context.run(publish, channels.connect, { connection: connection.facade })
    }
    if (this.#end === undefined) connection.begin()
    else this.#finish()
  }

  #refuse(): void {
    this.#phase = Phase.Refused
    this.#connection.destroy()
    // `onPrepare` has detached it: nothing further tells of its end.
    if (this.#end !== undefined) this.#finish()
  }

  #failed(error: unknown): void {
    this.#phase = Phase.Open
    this.#connection.fail(error)
    if (this.#end !== undefined) this.#finish()
  }

  #finish(): void {
    if (this.#phase === Phase.Open) this.#disconnected(this.#end as End)
    else this.#callBack()
  }

  /** Runs what comes last. */
  #callBack(): void {
    this.#phase = Phase.Over
    const callbacks = this.#callbacks
    this.#callbacks = undefined
    for (const callback of callbacks ?? []) this.#run(callback)
  }

  /** Runs `onDisconnect`, and what comes after it once it is done. */
  #disconnected({ error, unreported }: End): void {
    const connection = this.#connection
    const { onDisconnect, onError } = this.#group.hooks
    // A failure of network or peer that the system names is no fault of the program: told, and not logged.
    if (unreported !== undefined && (errnoOf(unreported) === undefined || onError !== undefined)) {
      connection.tell(unreported)
    }
    if (channels.close.hasSubscribers) {
      connection.context.run(publish, channels.close, { connection: connection.facade, error })
    }
    let watched: Watched | undefined
    const done = (): void => {
      leaks?.remove(watched)
      this.#callBack()
    }
    const failed = (failure: unknown): void => {
      connection.tell(failure)
      done()
    }
    try {
      const pending: unknown = onDisconnect && connection.context.run(onDisconnect, connection.facade, error)
      // It may ask where the peer was once it goes on.
      if (pending !== undefined) connection.socket.keepAddress()
      if (isThenable(pending)) {
        watched = leaks && watch(leaks, connection, 'onDisconnect')
        whenSettled(pending, done, failed)
      } else {
        done()
      }
    } catch (failure) {
      failed(failure)
    }
  }

  #run(callback: () => void): void {
    const connection = this.#connection
    guarded(
      () => connection.context.run(callback as (a: undefined, b: undefined) => void, undefined, undefined),
      (failure) => connection.tell(failure),
    )
  }
}

/** What comes after a hook is owed to its user, also where a promise that nothing refers to keeps it from coming. */
function watch(list: WatchList, connection: object, hook: 'onConnect' | 'onDisconnect'): Watched {
  const fault = { what: `waits for its ${hook}`, certainty: 'certain' } as const
  const stack = list.stackOf(connection)
  return list.add(new WatchedDebt(connection, alwaysOwed, () => fault, stack, 'connection'))
}
