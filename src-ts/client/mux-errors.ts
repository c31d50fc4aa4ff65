import { errorForCall, foreignErrorForCall, isNetpollError, NetpollError, withoutStack } from '../errors'

export function muxClosed(): NetpollError {
  return new NetpollError('ERR_MUX_CLOSED', 'The mux is closed', { sent: false })
}

/** Why calls fail on a connection that has answered none. */
export function endedUnused(): NetpollError {
  return withoutStack(() => new NetpollError('ERR_CONN_CLOSED', 'The connection ended before it was used'))
}

/** `cause` is why the last dial has failed, if it has. */
export function connectTimeout(cause: unknown): NetpollError {
  const message = 'No connection of the mux was established in time'
  return withoutStack(
    () => new NetpollError('ERR_DIAL_TIMEOUT', message, cause === undefined ? {} : { cause }),
  )
}

/** The error of a dial, for one of the calls that do not wait for the next. */
export function dialErrorForCall(error: unknown): unknown {
  return isNetpollError(error) ? errorForCall(error, false) : foreignErrorForCall(error)
}
