import type { ConnectionCore } from '../connection/core'
import { NetpollError } from '../errors'

/**
 * Why a dial is given up whose connection has ended before its caller got it: `cause` says what has ended it. In TLS 1.3 a
 * server looks at our certificate once our handshake is done: its alert is the reason then.
 */
export function endedEarly({ closing }: Pick<ConnectionCore, 'closing'>): NetpollError {
  const { error } = closing
  if (error?.code === 'ERR_TLS_ALERT') return error
  const { cause } = closing.closedError()
  const message = closing.isByPeer
    ? 'The peer has ended the connection before it was used'
    : 'The connection was closed before it was used'
  return new NetpollError('ERR_CONN_CLOSED', message, { cause })
}
