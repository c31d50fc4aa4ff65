import type { ConnectionCore } from '../connection/core'
import { NetpollError } from '../errors'

/**
 * Why a dial is given up whose connection has ended before its caller got it. In TLS 1.3 a server looks at our certificate
 * once our handshake is done: its alert is the reason then.
 */
export function endedEarly(
  { closing: { error } }: Pick<ConnectionCore, 'closing'>,
  message: string,
): NetpollError {
  return error?.code === 'ERR_TLS_ALERT' ? error : new NetpollError('ERR_CONN_CLOSED', message)
}
