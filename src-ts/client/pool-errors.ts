import { NetpollError, withoutStack } from '../errors'

export function poolClosed(): NetpollError {
  return new NetpollError('ERR_POOL_CLOSED', 'The pool is closed')
}

export function poolFull(waiting: number): NetpollError {
  return new NetpollError('ERR_POOL_FULL', `${waiting} wait for a connection already`)
}

export function poolTimeout(): NetpollError {
  return withoutStack(
    () => new NetpollError('ERR_POOL_TIMEOUT', 'No connection of the pool became free in time'),
  )
}

export function notLent(): NetpollError {
  return new NetpollError('ERR_POOL_NOT_LENT', 'The connection is not lent by this pool')
}
