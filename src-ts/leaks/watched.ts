import { originOf } from './origin'

/** What may be older than it should be. */
export type LeakKind = 'chunk' | 'connection' | 'request' | 'timer'

/** What is told of a fault beside its name. */
export interface Account {
  /** The frames of the code that has made what is at fault. */
  readonly stack: string
  /** What else helps to find it, a line each. */
  readonly lines: readonly string[]
}

/** What something does now that it should not do for long. */
export interface Fault {
  /** What it does, as the end of a sentence. The age of the fault begins anew where this changes. */
  readonly what: string
  /** `unlessGarbage`: it looks the same until it is collected, so that a collection has to come first. */
  readonly certainty: 'certain' | 'unlessGarbage'
  /** Milliseconds that it may take beside the age. */
  readonly allowance?: number | undefined
  /** Asked for when it is told, where the stack of its making does not say it. */
  readonly account?: (() => Account) | undefined
}

/** How something looks now: in order, at fault, or over, so that it is watched no longer. */
export type Look = 'fine' | 'over' | Fault

/** Something that is watched. */
export abstract class Watched {
  readonly kind: LeakKind
  /** The frames of the code that has made it. */
  readonly stack: string
  /** Its fault at the last look. */
  what: string | undefined
  /** The look at which the fault was seen first. */
  since = 0
  /** The look at which the fault was as old as it may get, where garbage looks the same. */
  oldSince = Number.POSITIVE_INFINITY
  isReported = false

  constructor(kind: LeakKind, stack: string = originOf()) {
    this.kind = kind
    this.stack = stack
  }

  abstract look(): Look
}

/** An object that its user may let go of: then it is over. */
export class WatchedObject<Target extends object> extends Watched {
  readonly #target: WeakRef<Target>
  readonly #look: (target: Target) => Look

  /** `look` must not refer to `target` otherwise. */
  constructor(kind: LeakKind, target: Target, look: (target: Target) => Look, stack?: string) {
    super(kind, stack)
    this.#target = new WeakRef(target)
    this.#look = look
  }

  look(): Look {
    const target = this.#target.deref()
    return target === undefined ? 'over' : this.#look(target)
  }
}

/**
 * A request, or the hook of a connection, whose end something owes. It is kept while `isOwed` says so: if it were collected
 * before, its reply, or what comes after it, would be missing for good. Afterwards it may be.
 */
export class WatchedDebt<Target extends object> extends Watched {
  #target: Target | WeakRef<Target>
  readonly #look: (target: Target) => Look
  readonly #isOwed: (target: Target) => boolean

  /** Neither function may refer to `target` otherwise. */
  constructor(
    target: Target,
    isOwed: (target: Target) => boolean,
    look: (target: Target) => Look,
    stack?: string,
    kind: LeakKind = 'request',
  ) {
    super(kind, stack)
    this.#target = target
    this.#isOwed = isOwed
    this.#look = look
  }

  look(): Look {
    const target = this.#target instanceof WeakRef ? this.#target.deref() : this.#target
    if (target === undefined) return 'over'
    if (!this.#isOwed(target)) this.#target = new WeakRef(target)
    return this.#look(target)
  }
}

/** Of a debt that stays until it is over, whatever becomes of its connection. */
export const alwaysOwed = (): boolean => true
