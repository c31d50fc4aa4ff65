import { isNetpollError } from '../errors'
import { markFollowed } from '../extension'
import { isRpcError } from './errors'

/**
 * The same error, of a call whose reply could not be inflated: its server has carried it out. The stack of one that a user's
 * class or function has made stays what it is. Any other shows nothing but where it was found, and is made anew.
 */
export function refusedReply(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return error
  try {
    // Not by assignment, which would run the setter of a user's class.
    Reflect.defineProperty(error, 'sent', {
      value: true,
      writable: true,
      enumerable: true,
      configurable: true,
    })
    if (isNetpollError(error) || isRpcError(error) || isOfZlib(error)) markFollowed(error)
  } catch {
    // A user's error may refuse members: then it stays what it is.
  }
  return error
}

function isOfZlib(error: object): error is Error {
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && code.startsWith('Z_')
}
