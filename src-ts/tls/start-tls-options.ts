import { optionNames } from '../checks/known-options'
import { invalidValue } from '../errors'
import { checkPayload, type Payload, takeApart } from '../memory/payload'
import { timeLimit } from '../time/time-limits'
import { type ClientTlsOptions, clientTlsNames, type ServerTlsOptions, serverTlsNames } from './options'
import { ClientSecurity, defaultHandshakeTimeout, ServerSecurity, takeTls, unlimited } from './secure-context'

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
  /** Milliseconds that all of it may take; 0 for ever, unless the connection has an `idleTimeout`. Default 10,000. */
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
  const taken = takeTls<ServerStartTlsOptions | ClientStartTlsOptions>(options, names)
  const { lastPlaintext = '', unread = 'refuse', handshakeTimeout, ...tls } = taken
  if (unread !== 'refuse' && unread !== 'handshake') {
    throw invalidValue('options.unread', "must be 'refuse' or 'handshake'", unread)
  }
  checkPayload('options.lastPlaintext', lastPlaintext)
  const timeout = timeLimit('options.handshakeTimeout', handshakeTimeout, defaultHandshakeTimeout)
  return {
    security: securityOf(role, tls),
    lastPlaintext: takeApart(lastPlaintext),
    unread,
    handshakeTimeout: timeout,
  }
}

interface Known {
  readonly role: 'server' | 'client'
  readonly options: Readonly<Record<string, unknown>>
  readonly security: ServerSecurity | ClientSecurity
}

/** Keys and roots are read once for connections that are given the same ones, which may also resume sessions. */
const known: Known[] = []
const mostKnown = 16

function securityOf(role: 'server' | 'client', tls: object): ServerSecurity | ClientSecurity {
  const options = tls as Readonly<Record<string, unknown>>
  const at = known.findIndex((other) => other.role === role && haveSame(other.options, options))
  const found =
    known[at] ??
    ({
      role,
      options,
      security: role === 'server' ? new ServerSecurity(tls, unlimited) : new ClientSecurity(tls),
    } satisfies Known)
  if (at >= 0) known.splice(at, 1)
  known.unshift(found)
  known.length = Math.min(known.length, mostKnown)
  return found.security
}

function haveSame(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): boolean {
  const names = Object.keys(one)
  return (
    names.length === Object.keys(other).length && names.every((name) => Object.is(one[name], other[name]))
  )
}
