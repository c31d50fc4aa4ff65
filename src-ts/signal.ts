import { setMaxListeners } from 'node:events'

/** No longer tells `listener`. A signal of the user's may refuse to: then the listener finds that nothing waits any more. */
export function forgetSignal(signal: AbortSignal | undefined, listener: () => void): void {
  try {
    signal?.removeEventListener('abort', listener)
  } catch {
    // What comes after it concerns others.
  }
}

/** Why a signal was aborted, or what it throws that is asked. */
export function reasonOf(signal: AbortSignal | undefined): unknown {
  try {
    return signal?.reason
  } catch (error) {
    return error
  }
}

/** Whether a signal was aborted. */
export function isAborted(signal: AbortSignal | undefined): boolean {
  try {
    return signal?.aborted === true
  } catch {
    return false
  }
}

/** Lets any number listen without a warning. One that is not of Node.js, as vitest puts jsdom's in its place, warns nobody. */
export function allowListeners(signal: AbortSignal): void {
  try {
    setMaxListeners(0, signal)
  } catch {
    // It has no such bound.
  }
}
