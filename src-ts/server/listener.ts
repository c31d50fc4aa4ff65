import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

import { type Address, toAddress } from '../native/address'
import { invalidType, invalidValue, systemError } from '../errors'
import type { Poller } from '../poller/poller'
import { optionNames, takeOptions } from '../checks/known-options'
import type {
  ConnectionBalancer,
  ConnectionSettings,
  ListenPlace,
  NativeId,
  Outcome,
} from '../native/binding'
import { checkBacklog } from '../connection/options'
import { takeSignal } from '../abort'
import {
  checkSocketPath,
  checkSocketRights,
  isAbstract,
  removeSocketFile,
  type SocketFile,
  socketFile,
  systemPath,
} from '../native/unix-path'
import { checkBoolean, checkInteger, checkPort, checkText } from '../checks/arguments'

/** Listens on a TCP port. */
export interface ListenPortOptions {
  /** Port; 0 lets the system choose. */
  readonly port: number
  /** Address or name. Default: all addresses, IPv6 and IPv4. */
  readonly host?: string | undefined
  /**
   * Whether others that ask for it as well, and run as the same user, may listen on the same port (`SO_REUSEPORT`).
   * They are several processes, cluster workers or worker threads. Linux distributes connections among them; macOS
   * gives them all to one. Default false.
   */
  readonly reusePort?: boolean | undefined
  /** Whether listening on all addresses means those of IPv6 alone. Default false. */
  readonly ipv6Only?: boolean | undefined
  /**
   * Whether servers of this process that listen at the same place and ask for it as well, in whatever thread, share one
   * socket. Its connections are dealt out to them as the `loadBalance` of the first says, which also works where
   * `reusePort` does not balance. The socket closes when the last of them does. Default false.
   */
  readonly shared?: boolean | undefined
}

/** Listens on a unix socket. */
export interface ListenPathOptions {
  /**
   * Path of a unix socket. A dead socket there is replaced, a live one refused. On Linux a path that begins with a zero
   * byte is a name of the abstract namespace, as with `node:net`. Then there is no file, and no permission to connect.
   */
  readonly path: string
  /**
   * Permission bits of the socket's file, such as `0o660`; to connect takes permission to write. They are in
   * force before any client can connect, whatever the umask. Default: what the umask leaves of `0o777`.
   */
  readonly mode?: number | undefined
  /** As of a port. */
  readonly shared?: boolean | undefined
}

/** Listens on a socket that was made elsewhere. */
export interface ListenFdOptions {
  /**
   * Descriptor of a TCP or unix stream socket that listens already, as a service manager passes it. The server takes it
   * over: from then on no other code may use or close it. Refused, it is left alone. The file of a unix socket is not
   * removed on close.
   */
  readonly fd: number
}

/** Where to listen. */
export type ListenOptions = (
  | (ListenPortOptions & {
      /** Connections that may wait to be accepted. Default 511; the system may allow fewer. */
      readonly backlog?: number | undefined
    })
  | (ListenPathOptions & {
      /** Connections that may wait to be accepted. Default 511; the system may allow fewer. */
      readonly backlog?: number | undefined
    })
  | ListenFdOptions
) & {
  /** Closes the server, as `close()` does, when it is aborted. */
  readonly signal?: AbortSignal | null | undefined
}

/** A place of a TCP port whose host may still be a name. */
interface NamePlace {
  readonly kind: 'name'
  readonly name: string
  readonly at: (address: string) => PlaceToOpen
}

/** A place that can be opened. */
export type PlaceToOpen =
  | { readonly kind: 'address'; readonly native: ListenPlace }
  | { readonly kind: 'everywhere'; readonly ipv6: ListenPlace; readonly ipv4: ListenPlace | undefined }
  | { readonly kind: 'path'; readonly path: string; readonly native: ListenPlace }
  | { readonly kind: 'descriptor'; readonly fd: number }

/** Whether a socket is the server's own, or others of the process listen on it, too. */
export type Sharing = 'own' | 'shared'

/** {@link ListenOptions} after checking. */
export interface CheckedListen {
  readonly place: NamePlace | PlaceToOpen
  readonly sharing: Sharing
  readonly signal: AbortSignal | undefined
}

/** What may be given beside each of the three ways to say where. */
const companions: Readonly<Record<'port' | 'path' | 'fd', readonly string[]>> = {
  port: ['host', 'reusePort', 'ipv6Only', 'shared', 'backlog'],
  path: ['mode', 'shared', 'backlog'],
  fd: [],
}
const allOptions = ['port', 'path', 'fd', ...new Set(Object.values(companions).flat())]

const listenNames = optionNames<ListenOptions>({
  port: true,
  host: true,
  path: true,
  fd: true,
  backlog: true,
  reusePort: true,
  ipv6Only: true,
  shared: true,
  mode: true,
  signal: true,
})

const defaultBacklog = 511
/** How a system without IPv6 refuses '::'. */
const withoutIpv6: readonly string[] = ['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL']

/**
 * Checks what `listen` is given.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`, also for an option that means
 * nothing for this kind of socket; NetpollError `ENAMETOOLONG`
 */
export function checkListenOptions(options: ListenOptions): CheckedListen {
  const taken = takeOptions('options', options, listenNames)
  const given: { readonly [name: string]: unknown } = { ...taken }
  const key = (['fd', 'path', 'port'] as const).find((name) => given[name] !== undefined)
  if (key === undefined) throw invalidType('options', 'an object with a port, a path or an fd', options)
  for (const name of allOptions) {
    if (given[name] !== undefined && name !== key && !companions[key].includes(name)) {
      throw invalidValue(`options.${name}`, `must not be given together with options.${key}`, given[name])
    }
  }
  const signal = takeSignal(given['signal'])
  checkBacklog(given['backlog'])
  checkBoolean('shared', given['shared'])
  const place = { fd: checkFd, path: checkPath, port: checkPortPlace }[key](taken as never)
  return { place, sharing: given['shared'] === true ? 'shared' : 'own', signal }
}

/** The addresses of a name are looked up; everything else is known. */
export async function resolveName({ name, at }: NamePlace): Promise<PlaceToOpen> {
  return at((await lookup(name)).address)
}

/** What listens, and what gets the connections. */
export interface ListenTarget {
  readonly poller: Poller
  readonly settings: ConnectionSettings
  /** What records of the listener say. */
  readonly tag: number
  /** Gives the connections out, where they are not all for `poller`. */
  readonly balancer: ConnectionBalancer | undefined
}

/** What becomes of connections that wait to be accepted. */
export type BacklogHandling = 'reset' | 'accepted'

/** How many servers of this thread listen now. */
export const openListeners = { count: 0 }

/** A socket that listens. */
export class Listener {
  readonly #poller: Poller
  readonly #id: NativeId
  readonly #file: SocketFile | undefined

  /**
   * Opens `place`.
   *
   * @throws NetpollError the system's code
   */
  static open(place: PlaceToOpen, target: ListenTarget): Listener {
    const { poller, settings, tag, balancer } = target
    const { native } = poller
    const listen = (where: ListenPlace): Outcome => native.listen(where, settings, tag, balancer)
    switch (place.kind) {
      case 'descriptor':
        return new Listener(poller, idOf(native.adopt(place.fd, settings, tag, balancer), {}))
      case 'address':
        return new Listener(poller, idOf(listen(place.native), place.native.address))
      case 'everywhere': {
        const outcome = listen(place.ipv6)
        if (place.ipv4 === undefined || !isWithoutIpv6(outcome)) {
          return new Listener(poller, idOf(outcome, place.ipv6.address))
        }
        return new Listener(poller, idOf(listen(place.ipv4), place.ipv4.address))
      }
      case 'path': {
        checkSocketRights(place.path)
        const id = idOf(listen(place.native), { address: place.path })
        return new Listener(
          poller,
          id,
          socketFile(place.path, () => native.unlisten(id)),
        )
      }
    }
  }

  private constructor(poller: Poller, id: NativeId, file?: SocketFile) {
    this.#poller = poller
    this.#id = id
    this.#file = file
    openListeners.count += 1
  }

  /** Where it listens, as Node.js gives it. */
  get address(): Address | null {
    return toAddress(this.#poller.native.listenerAddress(this.#id)) ?? null
  }

  /**
   * Stops listening. Connections that were not accepted yet are reset, or accepted before.
   *
   * @returns how many were accepted since the start, of which records have told or will; 0 for those that were reset
   * @throws NetpollError when the file of a unix socket could not be removed, and stays; it has stopped all the same
   */
  stop(waiting: BacklogHandling): number {
    openListeners.count -= 1
    let accepted = 0
    try {
      // Before the socket closes: afterwards a successor may have bound the path.
      if (this.#file !== undefined) removeSocketFile(this.#file)
    } finally {
      if (waiting === 'accepted') accepted = this.#poller.native.acceptAndUnlisten(this.#id)
      else this.#poller.native.unlisten(this.#id)
    }
    return accepted
  }
}

function checkPortPlace(options: ListenPortOptions & { readonly backlog?: number }): NamePlace | PlaceToOpen {
  const { port, host, reusePort, ipv6Only, backlog = defaultBacklog } = options
  checkPort(port, 0)
  checkBoolean('reusePort', reusePort)
  checkBoolean('ipv6Only', ipv6Only)
  const native = (address: string): ListenPlace => ({
    address: { address, port },
    backlog,
    reusePort: reusePort ?? false,
    ipv6Only: ipv6Only ?? false,
  })
  if (host === undefined) {
    return { kind: 'everywhere', ipv6: native('::'), ipv4: ipv6Only === true ? undefined : native('0.0.0.0') }
  }
  checkText('options.host', host)
  const at = (address: string): PlaceToOpen => ({ kind: 'address', native: native(address) })
  return isIP(host) === 0 ? { kind: 'name', name: host, at } : at(host)
}

function checkPath(options: ListenPathOptions & { readonly backlog?: number }): PlaceToOpen {
  const { path, mode, backlog = defaultBacklog } = options
  checkText('options.path', path)
  checkSocketPath('listen', path)
  if (mode !== undefined) {
    checkInteger('options.mode', mode, 0, 0o777)
    if (isAbstract(path)) throw invalidValue('options.mode', 'must not be given where there is no file', mode)
  }
  const native = { address: { path: systemPath(path) }, backlog, reusePort: false, ipv6Only: false }
  return { kind: 'path', path, native: mode === undefined ? native : { ...native, mode } }
}

function checkFd({ fd }: ListenFdOptions): PlaceToOpen {
  checkInteger('options.fd', fd, 0, 2 ** 31 - 1)
  return { kind: 'descriptor', fd }
}

/** Whether opening has failed because the system has no IPv6. */
export function isWithoutIpv6({ errno }: Pick<Outcome, 'errno'>): boolean {
  return errno !== undefined && withoutIpv6.includes(systemError(errno, 'listen').code)
}

function idOf(
  { id, errno }: Outcome,
  where: { readonly address?: string; readonly port?: number },
): NativeId {
  if (id === undefined) throw systemError(errno as number, 'listen', where)
  return id
}
