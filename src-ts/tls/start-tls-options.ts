import { optionNames } from '../checks/known-options'
import { invalidValue } from '../errors'
import { checkPayload, type Payload, takeApart } from '../memory/payload'
import { timeLimit } from '../time/time-limits'
import { isUint8Array } from '../checks/bytes'
import {
  type ClientTlsOptions,
  clientTlsNames,
  type ServerTlsOptions,
  serverTlsNames,
  type TlsOptions,
} from './options'
import { defaultRoots } from './roots'
import {
  ClientSecurity,
  defaultHandshakeTimeout,
  ServerSecurity,
  takeTls,
  unlimited,
  withContexts,
} from './secure-context'

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
  const {
    lastPlaintext = '',
    unread = 'refuse',
    handshakeTimeout,
    ...tls
  } = role === 'server' ? withContexts(taken) : taken
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
  readonly options: unknown
  /** Those of Node.js, where they count. */
  readonly roots: readonly Buffer[] | undefined
  readonly security: ServerSecurity | ClientSecurity
}

/** Keys and roots are read once for connections that are given the same ones, which may also resume sessions. */
const known: Known[] = []
const mostKnown = 16

function securityOf(role: 'server' | 'client', options: TlsOptions): ServerSecurity | ClientSecurity {
  const roots = role === 'client' && options.ca === undefined ? defaultRoots() : undefined
  const at = known.findIndex(
    (other) => other.role === role && other.roots === roots && isSame(other.options, options),
  )
  const found =
    known[at] ??
    ({
      role,
      options,
      roots,
      security: role === 'server' ? new ServerSecurity(options, unlimited) : new ClientSecurity(options),
    } satisfies Known)
  if (at >= 0) known.splice(at, 1)
  known.unshift(found)
  known.length = Math.min(known.length, mostKnown)
  return found.security
}

/** Whether two options say the same: each has its own lists and bytes. */
function isSame(one: unknown, other: unknown): boolean {
  if (Object.is(one, other)) return true
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null) return false
  if (isUint8Array(one) || isUint8Array(other)) {
    return isUint8Array(one) && isUint8Array(other) && Buffer.compare(one, other) === 0
  }
  const names = Object.keys(one)
  const [first, second] = [one, other] as readonly Readonly<Record<string, unknown>>[]
  return (
    Array.isArray(one) === Array.isArray(other) &&
    names.length === Object.keys(other).length &&
    names.every((name) => isSame(first?.[name], second?.[name]))
  )
}
