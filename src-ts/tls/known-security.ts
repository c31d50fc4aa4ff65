import { isUint8Array } from '../checks/bytes'
import { refuseOtherKind } from '../checks/known-options'
import {
  type ClientTlsOptions,
  clientTlsNames,
  credentialNames,
  type ServerTlsOptions,
  serverTlsNames,
} from './options'
import { defaultRoots } from './roots'
import { ClientSecurity, ownClientTls, ownServerTls, ServerSecurity, unlimited } from './secure-context'

type Members = Readonly<Record<string, unknown>>

interface Known<Security> {
  /** With lists and bytes of its own. */
  readonly options: Members
  /** How many contexts those have. */
  readonly contexts: number
  /** The authorities of Node.js, where they count. */
  readonly roots: readonly Buffer[] | undefined
  readonly security: Security
}

/** Going through an object without a prototype would make such a list for each name. */
const namesOfCredentials = Object.keys(credentialNames)

/** More than so many others are forgotten. */
const mostKnown = 16

/**
 * Those that were made last. Keys and roots are read once for connections that are given the same ones, which may also resume
 * sessions.
 */
class KnownSecurities<Options extends object, Security> {
  readonly #names: readonly string[]
  readonly #own: (options: Options) => Options
  readonly #make: (options: Options) => Security
  readonly #known: Known<Security>[] = []

  constructor(names: object, own: (options: Options) => Options, make: (options: Options) => Security) {
    this.#names = Object.keys(names)
    this.#own = own
    this.#make = make
  }

  /**
   * The security of options whose members were read, and not copied. Nothing is copied where it is known: a server may have
   * thousands of certificates, and strangers decide how often it is asked.
   */
  of(options: Options, roots: readonly Buffer[] | undefined): Security {
    const known = this.#find(options, roots)
    if (known !== undefined) return known.security
    const own = this.#own(options)
    // What the comparison has not understood, such as members of all objects, may be the same nevertheless.
    const found = this.#find(own, roots)
    if (found !== undefined) return found.security
    const security = this.#make(own)
    const { contexts = {} } = own as ServerTlsOptions
    this.#known.unshift({ options: own as Members, contexts: Object.keys(contexts).length, roots, security })
    this.#known.length = Math.min(this.#known.length, mostKnown)
    return security
  }

  #find(options: Options, roots: readonly Buffer[] | undefined): Known<Security> | undefined {
    const given = options as Members
    const at = this.#known.findIndex(
      (known) => known.roots === roots && this.#names.every((name) => isSame(name, known, given)),
    )
    const found = this.#known[at]
    if (found !== undefined && at > 0) {
      this.#known.splice(at, 1)
      this.#known.unshift(found)
    }
    return found
  }
}

const ofServers = new KnownSecurities<ServerTlsOptions, ServerSecurity>(
  serverTlsNames,
  ownServerTls,
  (options) => new ServerSecurity(options, unlimited),
)
const ofClients = new KnownSecurities<ClientTlsOptions, ClientSecurity>(
  clientTlsNames,
  ownClientTls,
  (options) => new ClientSecurity(options),
)

/** The TLS of a connection that was accepted, by options as `readTls` has them. Throws as {@link ServerSecurity}. */
export function securityOfServer(options: ServerTlsOptions): ServerSecurity {
  return ofServers.of(options, undefined)
}

/** As {@link securityOfServer}, of a connection that was dialed. */
export function securityOfClient(options: ClientTlsOptions): ClientSecurity {
  return ofClients.of(options, options.ca === undefined ? defaultRoots() : undefined)
}

/** Whether an option says what is known of it. What is unclear is another, which is then looked at closely. */
function isSame(name: string, { options, contexts }: Known<unknown>, given: Members): boolean {
  if (name === 'contexts') return haveSameContexts(options[name], contexts, given[name])
  return isSameValue(options[name], given[name])
}

function isSameValue(known: unknown, given: unknown): boolean {
  if (Object.is(known, given)) return true
  if (isUint8Array(known)) return isUint8Array(given) && Buffer.compare(known, given) === 0
  return (
    Array.isArray(known) &&
    Array.isArray(given) &&
    known.length === given.length &&
    known.every((part, index) => isSameValue(part, given[index]))
  )
}

function haveSameContexts(known: unknown, wanted: number, given: unknown): boolean {
  if (!isObject(known) || !isObject(given)) return known === given
  let found = 0
  for (const name in given) {
    if (!isSameCredentials(known[name], given[name])) return false
    found += 1
  }
  if (found === 0) refuseOtherKind('options.tls.contexts', given)
  return found === wanted
}

function isSameCredentials(known: unknown, given: unknown): boolean {
  if (!isObject(known) || !isObject(given)) return false
  for (const name in given) {
    if (!(name in credentialNames)) return false
  }
  for (const name of namesOfCredentials) {
    if (!isSameValue(known[name], given[name])) return false
  }
  return true
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null
}
