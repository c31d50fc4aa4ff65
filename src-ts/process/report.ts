import { types } from 'node:util'

import { logLine } from './settings'
import type { Connection } from '../connection/connection'
import type { Context } from './async-context'
import { describe, describeFully } from './describe'
import { invalidValue, NetpollError } from '../errors'

/** Is told what went wrong, and on which connection. */
export type ErrorListener = ((error: unknown, connection: Connection | undefined) => void) | undefined

/** Of the language, whatever users make of it later. */
const OwnPromise = Promise
const ownPrototype = OwnPromise.prototype
const { then } = ownPrototype
const { species } = Symbol
const { defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf } = Reflect
const { hasOwn } = Object
const { isPromise } = types
const ownAsyncPrototype = getPrototypeOf(async () => {})
const rejected = OwnPromise.reject.bind(OwnPromise)

/** Runs the user's code; what it throws, now or later, goes to `failed`. */
export function guarded(work: () => unknown, failed: (error: unknown) => void): void {
  try {
    const result = work()
    if (isThenable(result)) whenSettled(result, ignore, failed)
  } catch (error) {
    failed(error)
  }
}

/** Tells the user what went wrong: nothing is swallowed, and nothing of it ends the process. */
export function report(
  onError: ErrorListener,
  error: unknown,
  connection: Connection | undefined,
  context: Context,
): void {
  if (onError === undefined) {
    logFailure(error)
    return
  }
  guarded(
    () => context.run(onError, error, connection),
    (second) => {
      logFailure(error)
      logFailure(second)
    },
  )
}

/** As {@link report}, for a dial that nobody waits for: what the system says of it is told, and not logged. */
export function reportDial(onError: ErrorListener, error: unknown, context: Context): void {
  const isSystems = errnoOf(error) !== undefined
  if (onError !== undefined || !isSystems) report(onError, error, undefined, context)
}

/** Whether a result of the user's code has to be waited for. Asks the result, which may throw. */
export function isThenable(result: unknown): result is PromiseLike<unknown> {
  return (
    typeof result === 'object' &&
    result !== null &&
    typeof (result as { readonly then?: unknown }).then === 'function'
  )
}

/**
 * Calls one of the two, once and not before this returns, whatever kind of thenable the user's code has returned. A promise
 * of the language's own is waited for as it is: others may throw, settle twice or at once.
 */
export function whenSettled(
  result: PromiseLike<unknown>,
  onFulfilled: (value: unknown) => void,
  onRejected: (error: unknown) => void,
): void {
  try {
    const hasOwnThen = result.then !== then
    if (!hasOwnThen && getPrototypeOf(result) === ownPrototype && !hasOwn(result, 'constructor')) {
      // One that only pretends is refused by this, and calls neither.
      then.call(result, onFulfilled, onRejected)
    } else if (!hasOwnThen && isPromise(result)) {
      followForeign(result, onFulfilled, onRejected)
    } else {
      then.call(new OwnPromise((resolve) => resolve(result)), onFulfilled, onRejected)
    }
  } catch (error) {
    then.call(rejected(error), undefined, onRejected)
  }
}

/** Whether what `work` returns is always a promise of the language's own, that nothing of the user's has seen before. */
export function isAsyncFunction(work: unknown): boolean {
  // Of another realm, it makes promises of that. A proxy of one is none.
  return types.isAsyncFunction(work) && getPrototypeOf(work as object) === ownAsyncPrototype
}

/**
 * As {@link whenSettled}, of what an async function has returned, see {@link isAsyncFunction}.
 *
 * The hot path: what has nothing of its own is asked nothing. By the one comparison V8 knows what it is, and makes `then`
 * inline.
 */
export function whenReturned(
  result: PromiseLike<unknown>,
  onFulfilled: (value: unknown) => void,
  onRejected: (error: unknown) => void,
): void {
  if (result.then === then) then.call(result, onFulfilled, onRejected)
  else whenSettled(result, onFulfilled, onRejected)
}

/**
 * Waits for a promise with a `constructor` of the user's, or of another realm. `then` makes another promise by that, whose
 * functions would run where nothing catches what they throw, and may be others than those that were asked for. So it is
 * asked once, for what it throws, and `then` finds ours in its place.
 *
 * @throws what it throws; TypeError where its `constructor` cannot be replaced for the moment
 */
function followForeign(
  result: Promise<unknown>,
  onFulfilled: (value: unknown) => void,
  onRejected: (error: unknown) => void,
): void {
  const asked = result.constructor as unknown as { readonly [species]?: unknown } | undefined
  void asked?.[species]
  const own = getOwnPropertyDescriptor(result, 'constructor')
  if (!defineProperty(result, 'constructor', { value: OwnPromise, configurable: true })) {
    throw new TypeError('A promise whose constructor is fixed, and is not Promise, cannot be waited for')
  }
  try {
    then.call(result, onFulfilled, onRejected)
  } finally {
    if (own === undefined) deleteProperty(result, 'constructor')
    else defineProperty(result, 'constructor', own)
  }
}

export const ignore = (): void => {}

/**
 * Refuses a promise of the user's function `name`, whose result is needed at once. What it rejects with goes to `failed`.
 *
 * @throws TypeError `ERR_INVALID_ARG_VALUE`; what `result` throws that is asked whether it is one
 */
export function refusePromise(
  name: string,
  result: unknown,
  failed: (error: unknown) => void = logFailure,
): void {
  if (!isThenable(result)) return
  whenSettled(result, ignore, failed)
  throw invalidValue(name, 'must not return a promise: its result is needed at once', 'a promise')
}

/** The system's error number, of an error of ours. */
export function errnoOf(error: unknown): number | undefined {
  try {
    return error instanceof NetpollError ? error.errno : undefined
  } catch {
    // It may be a proxy, or have members that throw.
    return undefined
  }
}

/** Logs a failure that nobody is told of otherwise: all of it on stderr, in one line for a logger. */
export function logFailure(error: unknown): void {
  logLine(describe(error), () => describeFully(error))
}
