import { optionNames } from '../checks/known-options'
import { invalidValue } from '../errors'
import { checkPayload, type Payload, takeApart } from '../memory/payload'
import { timeLimit } from '../time/time-limits'
import { securityOfClient, securityOfServer } from './known-security'
import { type ClientTlsOptions, clientTlsNames, type ServerTlsOptions, serverTlsNames } from './options'
import { type ClientSecurity, defaultHandshakeTimeout, readTls, type ServerSecurity } from './secure-context'

/** What a connection that goes over to TLS is told beside the options of TLS. */
export interface TlsSwitch {
  /** Sent as the last plaintext, right before TLS begins, as one step: nothing of the peer is read in between. */
  readonly lastPlaintext?: Payload | undefined
  /**
   * What becomes of bytes that were read and that the user has not taken. `'refuse'` ends the connection by
   * `ERR_TLS_PROTOCOL`: the peer, or an attacker on the way, may have put commands there that would count as encrypted.
   * `'handshake'` begins the handshake with them, as behind a PROXY header. Default `'refuse'`.
   */
  readonly unread?: 'refuse' | 'handshake' | undefined
  /**
   * Milliseconds that all of it may take; 0 for ever. Then `idleTimeout` ends it where the peer is silent, and `writeTimeout`
   * where it does not take `lastPlaintext`. Default 10,000.
   */
  readonly handshakeTimeout?: number | undefined
}

/** Options of {@link Connection.startTls} for connections of a server. */
export type ServerStartTlsOptions = Omit<ServerTlsOptions, 'onHandshakeError'> & TlsSwitch

/** Options of {@link Connection.startTls} for connections of a dialer. */
export type ClientStartTlsOptions = ClientTlsOptions & TlsSwitch

/** The same, checked. */
export interface CheckedTlsSwitch {
  readonly security: ServerSecurity | ClientSecurity
  readonly lastPlaintext: Payload
  readonly unread: 'refuse' | 'handshake'
  readonly handshakeTimeout: number
}

const switchNames = { lastPlaintext: true, unread: true, handshakeTimeout: true } as const
const { onHandshakeError: _, ...serverNames } = serverTlsNames
const serverSwitchNames = optionNames<ServerStartTlsOptions>({ ...serverNames, ...switchNames })
const clientSwitchNames = optionNames<ClientStartTlsOptions>({ ...clientTlsNames, ...switchNames })

/** @throws TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`; the error of `node:crypto` for a key */
export function checkStartTls(
  role: 'server' | 'client',
  options: ServerStartTlsOptions | ClientStartTlsOptions,
): CheckedTlsSwitch {
  const names = role === 'server' ? serverSwitchNames : clientSwitchNames
  const read = readTls<ServerStartTlsOptions | ClientStartTlsOptions>(options, names)
  const { lastPlaintext = '', unread = 'refuse', handshakeTimeout, ...tls } = read
  if (unread !== 'refuse' && unread !== 'handshake') {
    throw invalidValue('options.unread', "must be 'refuse' or 'handshake'", unread)
  }
  checkPayload('options.lastPlaintext', lastPlaintext)
  const timeout = timeLimit('options.handshakeTimeout', handshakeTimeout, defaultHandshakeTimeout)
  return {
    security: role === 'server' ? securityOfServer(tls) : securityOfClient(tls),
    lastPlaintext: takeApart(lastPlaintext),
    unread,
    handshakeTimeout: timeout,
  }
}
