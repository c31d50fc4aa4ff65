import { addAbortListener, setMaxListeners } from 'node:events'

import { invalidType, isNetpollError, type NetpollError } from './errors'
import { hostRealm } from './checks/host-realm'
import { isAbortSignal } from './checks/kinds'

/** Of the realm that Node.js makes its listeners in: others may have no such symbol. */
const dispose: typeof Symbol.dispose = hostRealm.Symbol.dispose

/** Users pass signals of ours on to what is of their realm, if that has any. */
export const OwnController = globalThis.AbortController ?? hostRealm.AbortController

/** As Node.js names what its own functions reject with where a signal gives no reason. */
class AbortError extends Error {
  override readonly name = 'AbortError'
  readonly code = 'ABORT_ERR'

  constructor() {
    super('The operation was aborted')
  }
}

/**
 * A signal that is an option, where there is one: `null` is none, as for `fetch`.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE`
 */
export function takeSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined || value === null) return undefined
  if (!isAbortSignal(value)) throw invalidType('options.signal', 'an instance of AbortSignal', value)
  return value
}

/** Errors that are the reasons of users' signals. */
const reasons = new WeakSet<NetpollError>()

/** Throws the reason of a signal that was aborted. Older ones, and polyfills, have no such method. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!isAborted(signal)) return
  const reason = reasonOf(signal)
  if (isNetpollError(reason)) reasons.add(reason)
  throw reason
}

/** Whether {@link throwIfAborted} has thrown an error of ours that the user has given as a reason, which stays as it is. */
export function isReason(error: NetpollError): boolean {
  return reasons.has(error)
}

/** Calls `listener` once it is aborted, also where other listeners stop the event on its way. Returns what ends that. */
export function watchAbort(signal: AbortSignal, listener: () => void): () => void {
  const watch = addAbortListener(signal, listener)
  return () => {
    try {
      watch[dispose]()
    } catch {
      // It will not forget: then the listener finds that nothing is to be done any more.
    }
  }
}

/** No longer tells `listener`. A signal of the user's may refuse to: then the listener finds that nothing waits any more. */
export function forgetSignal(signal: AbortSignal | undefined, listener: () => void): void {
  try {
    signal?.removeEventListener('abort', listener)
  } catch {
    // What comes after it concerns others.
  }
}

/** Why a signal was aborted, or what it throws that is asked. Older ones have no reasons. */
export function reasonOf(signal: AbortSignal | undefined): unknown {
  try {
    const reason: unknown = signal?.reason
    return reason === undefined ? new AbortError() : reason
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

/** Lets any number listen without a warning. One that is not of Node.js, as vitest puts jsdom's in its place, gives no warning. */
export function allowListeners(signal: AbortSignal): void {
  try {
    setMaxListeners(0, signal)
  } catch {
    // It has no such bound.
  }
}
