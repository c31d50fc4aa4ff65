import { NetpollError } from '../errors'

/** Says that a handler's reader or writer was used after it had returned. */
export function cursorExpired(what: 'reader' | 'writer'): NetpollError {
  const problem = `The handler has returned, and its ${what} with it`
  return new NetpollError('ERR_CURSOR_EXPIRED', problem)
}

/** Says that a request is answered already, or that its answer was left for later. */
export function alreadyReplied(): NetpollError {
  return new NetpollError(
    'ERR_ALREADY_REPLIED',
    'The request is answered already, or was left for a later reply',
  )
}
