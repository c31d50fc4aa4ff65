/**
 * What a user's value is. `instanceof` would ask for a class of this realm, and would run user code. The value may be of
 * another realm, as under a test runner.
 */
import { types } from 'node:util'

/** Whether it is an error, of whatever realm or subclass. */
export function isError(value: unknown): value is Error {
  if (types.isNativeError(value)) return true
  try {
    // Those that the language has not made, such as a `DOMException`.
    return value instanceof Error
  } catch {
    // A proxy may refuse to say.
    return false
  }
}

/** Whether it can be listened to, and asked, as an `AbortSignal`. */
export function isAbortSignal(value: unknown): value is AbortSignal {
  if (typeof value !== 'object' || value === null || !('aborted' in value)) return false
  return typeof (value as Partial<AbortSignal>).addEventListener === 'function'
}

/** What a `URL` says, of whatever realm; `undefined` where it is none. */
export function hrefOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { href, protocol } = value as Partial<URL>
  return typeof href === 'string' && typeof protocol === 'string' ? href : undefined
}
