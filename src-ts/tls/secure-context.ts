import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { types } from 'node:util'

import { checkBoolean, checkFunction, checkInteger, checkText } from '../checks/arguments'
import { isUint8Array } from '../checks/bytes'
import { isOfAllObjects, refuseUnknown, takeMembers, takeOptions } from '../checks/known-options'
import { invalidType, invalidValue, NetpollError } from '../errors'
import {
  type ConnectionSettings,
  nativeBinding,
  type SecureContext,
  type ServerSecureContext,
  type TlsSettings,
} from '../native/binding'
import { copyBytes } from '../memory/allocation'
import { refusePromise } from '../process/report'
import { timeLimit } from '../time/time-limits'
import { cipherNumbers } from './ciphers'
import {
  type ClientTlsOptions,
  clientTlsNames,
  credentialNames,
  foreignTlsNames,
  type ServerTlsOptions,
  serverTlsNames,
  type TlsCredentials,
  type TlsOptions,
} from './options'
import { certificatesOf, keyOf } from './pem'
import { defaultRoots } from './roots'
import { asksForName, serverNameOf } from './server-name'

const versions: Readonly<Record<string, number>> = { 'TLSv1.2': 12, 'TLSv1.3': 13 }
export const defaultHandshakeTimeout = 10_000
const defaultCachedSessions = 100
/** A client's first message, which names them all, has two bytes for its length. */
const mostProtocolBytes = 32_768
/** More than any process has descriptors; as many cross the boundary. */
const mostConnections = 2 ** 32 - 1

/** How many connections a server may have, and whether one that is too many is told of. */
export interface ServerLimit {
  readonly maxConnections: number
  readonly tellsExcess: boolean
}

/** Any number of connections. */
export const unlimited: ServerLimit = { maxConnections: Number.POSITIVE_INFINITY, tellsExcess: false }

/** The TLS of a server, whose certificates can be replaced while it listens. */
export class ServerSecurity {
  readonly context: SecureContext
  readonly #native: ServerSecureContext
  #options: ServerTlsOptions

  /** @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; the error of `node:crypto` for a key */
  constructor(options: ServerTlsOptions, { maxConnections, tellsExcess }: ServerLimit) {
    this.#options = takeServerTls(options)
    const limit = { ...(maxConnections <= mostConnections && { maxConnections }), tellsExcess }
    const settings = { ...serverSettings(this.#options), ...limit }
    const { ServerSecureContext: Native } = nativeBinding()
    this.#native = refusing(() => new Native(settings))
    this.context = this.#native.context()
  }

  get onHandshakeError(): ServerTlsOptions['onHandshakeError'] {
    return this.#options.onHandshakeError
  }

  /** Connections in their handshake. */
  get handshaking(): number {
    return this.#native.handshaking
  }

  /** Connections that begin from now on go by `options`; those that are not given stay as they are. */
  replace(options: ServerTlsOptions): void {
    const taken: ServerTlsOptions = { ...this.#options, ...takeServerTls(options) }
    this.#apply(taken)
  }

  /** Clients that ask for `name` are shown these from now on. */
  addContext(name: string, credentials: TlsCredentials): void {
    checkText('name', name)
    const contexts: Record<string, TlsCredentials> = Object.create(null)
    Object.assign(contexts, this.#options.contexts)
    contexts[name] = takeCredentials(name, credentials)
    this.#apply({ ...this.#options, contexts })
  }

  #apply(options: ServerTlsOptions): void {
    const settings = serverSettings(options)
    refusing(() => this.#native.replace(settings))
    this.#options = options
  }
}

/** The TLS of the dials that begin before a dialer gets other options. */
export class ClientSecurity {
  readonly context: SecureContext
  readonly #options: ClientTlsOptions
  #settings: ConnectionSettings | undefined

  /** @throws as {@link ServerSecurity} */
  constructor(options: ClientTlsOptions | true) {
    this.#options = options === true ? {} : withServerName(takeTls(options, clientTlsNames))
    const settings = clientSettings(this.#options)
    const { SecureContext: Native } = nativeBinding()
    this.context = refusing(() => new Native(settings))
  }

  /** The same with `options`; those that are not given stay as they are. */
  with(options: ClientTlsOptions): ClientSecurity {
    return new ClientSecurity(replacedTls(this.#options, options))
  }

  /** What connections with this TLS go by, of whose dialer `settings` are: no other has this TLS. */
  settingsOf(settings: ConnectionSettings): ConnectionSettings {
    this.#settings ??= settings.secured(this.context)
    return this.#settings
  }

  /** Whether a server is refused that is not what it should be. */
  get rejectsUnauthorized(): boolean {
    return this.#options.rejectUnauthorized ?? true
  }

  /** What is wrong with the name in a server's certificate, where `host` was dialed. */
  nameFault(host: string, certificate: PeerCertificate): Error | undefined {
    const { servername, checkServerIdentity: check = checkServerIdentity } = this.#options
    const name = servername === undefined || servername === '' ? host : servername
    const fault: unknown = check(name, certificate)
    refusePromise('options.tls.checkServerIdentity', fault)
    if (fault === undefined || fault === null) return undefined
    if (types.isNativeError(fault)) return fault
    throw invalidType('options.tls.checkServerIdentity()', 'an Error or undefined', fault)
  }
}

/**
 * What becomes of the option `tls` of a dialer once `options` replace some of it: those that are not given stay as they are.
 *
 * @throws NetpollError `ERR_UNSUPPORTED` without the option; TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`
 */
export function replacedTls(
  before: ClientTlsOptions | true | undefined,
  options: ClientTlsOptions,
): ClientTlsOptions {
  if (before === undefined) throw withoutTls()
  return { ...(before === true ? {} : before), ...takeTls(options, clientTlsNames) }
}

/** Nothing is encrypted, so that there is nothing to replace. */
export function withoutTls(): NetpollError {
  return new NetpollError('ERR_UNSUPPORTED', 'The option tls was not given')
}

/**
 * The options of TLS, each read once, with lists and bytes of their own, so that no later change counts.
 *
 * @throws TypeError with `ERR_INVALID_ARG_VALUE`
 */
export function takeTls<Options extends object>(options: Options, names: NamesOf<Options>): Options {
  return ownLists(readTls(options, names))
}

type NamesOf<Options extends object> = Parameters<typeof takeOptions<Options>>[2]

/** As {@link takeTls}, with the lists and bytes of the user. */
export function readTls<Options extends object>(options: Options, names: NamesOf<Options>): Options {
  if (typeof options === 'object' && options !== null) {
    for (const name in options) {
      const advice = foreignTlsNames[name]
      if (advice !== undefined && options[name] !== undefined && !isOfAllObjects(options, name)) {
        throw invalidValue(`options.tls.${name}`, advice, typeof options[name])
      }
    }
  }
  refuseUnknown('options.tls', shownAs(options), names)
  return takeOptions('options.tls', options, names)
}

/** A copy of what {@link readTls} has read, with lists and bytes of its own. */
export function ownServerTls(read: ServerTlsOptions): ServerTlsOptions {
  return withContexts(ownClientTls(read))
}

/** As {@link ownServerTls}. */
export function ownClientTls<Options extends TlsOptions>(read: Options): Options {
  return ownLists({ ...read })
}

/** Options that may be lists or bytes, which a user may change, or wipe, later. */
const listed = ['key', 'cert', 'ca', 'ALPNProtocols'] as const

/** The same object, with lists and bytes of its own. */
function ownLists<Options extends object>(taken: Options): Options {
  const members = taken as Record<string, unknown>
  for (const name of listed) {
    if (members[name] !== undefined) members[name] = ownList(members[name])
  }
  return taken
}

function ownList(value: unknown): unknown {
  // In memory of its own, and not in that which Node.js shares: it may be a key.
  if (isUint8Array(value)) return copyBytes(value)
  return Array.isArray(value) ? value.map(ownList) : value
}

/** What an error may show of options, of which one that is misspelled may be a key. */
function shownAs<Options extends object>(options: Options): Options {
  if (typeof options !== 'object' || options === null) return options
  const shown: Record<string, unknown> = {}
  for (const name in options) {
    if (options[name] !== undefined && !isOfAllObjects(options, name)) shown[name] = typeof options[name]
  }
  return shown as Options
}

/** What the core says of options that are each well-formed. */
function refusing<Result>(make: () => Result): Result {
  try {
    return make()
  } catch (error) {
    throw invalidValue('options.tls', `cannot be used: ${(error as Error).message}`, 'these options')
  }
}

/** The options of a server's TLS, with those of each name. */
function takeServerTls(options: ServerTlsOptions): ServerTlsOptions {
  return withContexts(takeTls(options, serverTlsNames))
}

/** With contexts of its own, where there are any. */
function withContexts<Options extends ServerTlsOptions>(taken: Options): Options {
  if (taken.contexts === undefined) return taken
  const contexts: Record<string, TlsCredentials> = Object.create(null)
  for (const [name, credentials] of takeMembers('options.tls.contexts', taken.contexts)) {
    contexts[name] = takeCredentials(name, credentials)
  }
  return { ...taken, contexts }
}

function takeCredentials(name: string, credentials: TlsCredentials): TlsCredentials {
  const option = contextOption(name)
  refuseUnknown(option, shownAs(credentials), credentialNames)
  return ownLists(takeOptions(option, credentials, credentialNames))
}

function contextOption(name: string): string {
  return `options.tls.contexts[${JSON.stringify(name)}]`
}

function serverSettings(options: ServerTlsOptions): TlsSettings {
  const { requestCert = false, contexts = {}, ca } = options
  checkBoolean('tls.requestCert', requestCert)
  checkFunction('tls.onHandshakeError', options.onHandshakeError)
  const timeout = 'options.tls.handshakeTimeout'
  const named = Object.entries(contexts).map(([name, credentials]) => ({
    name,
    identity: identityOf(contextOption(name), credentials),
  }))
  const shared = sharedSettings(options)
  if (shared.identity === undefined && named.length === 0) {
    throw invalidValue('options.tls', 'must have key and cert, or contexts', typeof options)
  }
  return {
    ...shared,
    contexts: named,
    authorities: ca === undefined ? [] : certificatesOf('options.tls.ca', ca),
    requestCertificate: requestCert,
    maxCachedSessions: 0,
    handshakeTimeout: timeLimit(timeout, options.handshakeTimeout, defaultHandshakeTimeout),
    tellsExcess: false,
  }
}

function withServerName(options: ClientTlsOptions): ClientTlsOptions {
  const { servername } = options
  if (servername === undefined) return options
  const option = 'options.tls.servername'
  if (typeof servername !== 'string') throw invalidType(option, 'of type string', servername)
  return { ...options, servername: serverNameOf(option, servername) }
}

function clientSettings(options: ClientTlsOptions): TlsSettings {
  const { servername, ca, maxCachedSessions = defaultCachedSessions } = options
  checkFunction('tls.checkServerIdentity', options.checkServerIdentity)
  checkInteger('options.tls.maxCachedSessions', maxCachedSessions, 0, 1_000_000)
  return {
    ...sharedSettings(options),
    contexts: [],
    authorities: ca === undefined ? [...defaultRoots()] : certificatesOf('options.tls.ca', ca),
    requestCertificate: false,
    ...(servername === undefined ? {} : { serverName: asksForName(servername) ? servername : '' }),
    maxCachedSessions,
    handshakeTimeout: 0,
    tellsExcess: false,
  }
}

type SharedSettings = Pick<
  TlsSettings,
  | 'minVersion'
  | 'maxVersion'
  | 'ciphers'
  | 'applicationProtocols'
  | 'identity'
  | 'allowPartialChain'
  | 'rejectUnauthorized'
>

function sharedSettings(options: TlsOptions): SharedSettings {
  const { ciphers, minVersion = 'TLSv1.2', maxVersion = 'TLSv1.3' } = options
  checkBoolean('tls.rejectUnauthorized', options.rejectUnauthorized)
  checkBoolean('tls.allowPartialTrustChain', options.allowPartialTrustChain)
  if (ciphers !== undefined) checkText('options.tls.ciphers', ciphers)
  const min = versionOf('options.tls.minVersion', minVersion)
  const max = versionOf('options.tls.maxVersion', maxVersion)
  if (min > max) throw invalidValue('options.tls.minVersion', 'must not be above maxVersion', minVersion)
  const identity = optionalIdentity(options)
  return {
    minVersion: min,
    maxVersion: max,
    ...(ciphers === undefined ? {} : { ciphers: cipherNumbers('options.tls.ciphers', ciphers) }),
    applicationProtocols: protocolsOf(options.ALPNProtocols),
    ...(identity === undefined ? {} : { identity }),
    allowPartialChain: options.allowPartialTrustChain ?? false,
    rejectUnauthorized: options.rejectUnauthorized ?? true,
  }
}

function versionOf(option: string, version: unknown): number {
  const number = typeof version === 'string' ? versions[version] : undefined
  if (number !== undefined) return number
  throw invalidValue(option, "must be 'TLSv1.2' or 'TLSv1.3': older versions are not supported", version)
}

function optionalIdentity({ key, cert, passphrase }: TlsOptions): TlsSettings['identity'] {
  checkPassphrase('options.tls', passphrase)
  if (key === undefined && cert === undefined) return undefined
  if (key === undefined) throw invalidValue('options.tls.key', 'must be given together with cert', undefined)
  if (cert === undefined) throw invalidValue('options.tls.cert', 'must be given together with key', undefined)
  return identityOf('options.tls', { key, cert, passphrase })
}

function identityOf(
  option: string,
  { key, cert, passphrase }: TlsCredentials,
): NonNullable<TlsSettings['identity']> {
  checkPassphrase(option, passphrase)
  return { chain: certificatesOf(`${option}.cert`, cert), key: keyOf(`${option}.key`, key, passphrase) }
}

function checkPassphrase(option: string, passphrase: unknown): void {
  if (passphrase === undefined || typeof passphrase === 'string') return
  throw invalidType(`${option}.passphrase`, 'of type string', passphrase)
}

function protocolsOf(protocols: unknown): Buffer[] {
  if (protocols === undefined) return []
  const option = 'options.tls.ALPNProtocols'
  if (!Array.isArray(protocols)) throw invalidType(option, 'a list of names', protocols)
  const names = protocols.map((name: unknown) => {
    if (typeof name !== 'string' && !isUint8Array(name)) throw invalidType(option, 'a list of names', name)
    const bytes = Buffer.from(name as string)
    if (bytes.length === 0 || bytes.length > 255) {
      throw invalidValue(option, 'must have names of 1 to 255 bytes', name)
    }
    return bytes
  })
  const total = names.reduce((sum, { length }) => sum + length + 1, 0)
  if (total > mostProtocolBytes) {
    throw invalidValue(option, `must take at most ${mostProtocolBytes} bytes, one more for each name`, total)
  }
  return names
}
