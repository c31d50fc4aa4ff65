/** Of the language, whatever users put in its place later. */
const { then } = Promise.prototype

/** Waits for a promise of ours. A user's `then`, such as that of an instrumentation, may throw, and would be called. */
export function whenOver<T>(
  promise: Promise<T>,
  onFulfilled: (value: T) => void,
  onRejected: (error: unknown) => void,
): void {
  then.call(promise, onFulfilled as (value: unknown) => void, onRejected)
}

/** Has the rejection of a promise of ours go to `onRejected`. */
export function whenRejected(promise: Promise<unknown>, onRejected: (error: unknown) => void): void {
  then.call(promise, undefined, onRejected)
}
