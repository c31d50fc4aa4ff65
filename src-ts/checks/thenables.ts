import { types } from 'node:util'

/** What the code of users returns, where it may be waited for. */

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

/** Whether a result of the user's code has to be waited for. Asks the result, which may throw. */
export function isThenable(result: unknown): result is PromiseLike<unknown> {
  return (
    typeof result === 'object' &&
    result !== null &&
    typeof (result as { readonly then?: unknown }).then === 'function'
  )
}

/**
 * Calls one of the two, once and not before this returns, whatever kind of thenable user code has returned. A native
 * promise is waited for as it is: others may throw, settle twice or at once.
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

/** Whether `work` always returns a native promise that no user code has seen before. */
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
 * Waits for a promise with a user's `constructor`, or one of another realm. `then` makes another promise by that. The
 * functions of that promise would run where nothing catches their errors, and may differ from those that were asked for.
 * So the constructor is read once, for what it throws, and `then` finds ours in its place.
 *
 * @throws what it throws; TypeError if its `constructor` cannot be replaced for the moment
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
