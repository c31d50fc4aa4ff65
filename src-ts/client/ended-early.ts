import type { ConnectionCore } from '../connection/core'
import { NetpollError } from '../errors'

const beginnings = {
  peer: 'The peer has ended the connection',
  refusal: 'The connection was refused for what the peer has sent',
  failure: 'The connection has failed',
  user: 'The connection was closed',
} as const

/**
 * Why a dial is given up whose connection has ended before its caller got it: `cause` says what has ended it. In TLS 1.3 a
 * server looks at our certificate once our handshake is done: its alert is the reason then.
 */
export function endedEarly({ closing }: Pick<ConnectionCore, 'closing'>): NetpollError {
  const { error } = closing
  if (error?.code === 'ERR_TLS_ALERT') return error
  const { cause } = closing.closedError()
  return new NetpollError('ERR_CONN_CLOSED', `${beginnings[closing.ender]} before it was used`, { cause })
}
