import { type Address, toAddress } from '../native/address'
import { systemError } from '../errors'
import type { Poller } from '../poller/poller'
import { isWithoutIpv6, openListeners, type PlaceToOpen } from './listener'
import {
  type ConnectionSettings,
  type ListenPlace,
  nativeBinding,
  type NativeSharedListener,
} from '../native/binding'
import {
  checkSocketRights,
  removeSocketFile,
  shownPath,
  type SocketFile,
  socketFile,
} from '../native/unix-path'
import type { LoadBalance } from '../process/settings'

/** The poller that gets a part of the connections. */
export interface SharedTarget {
  readonly poller: Poller
  readonly settings: ConnectionSettings
}

/** A server's part of a socket that it shares with others of its process: one for each of its pollers. */
export class SharedListener {
  readonly #parts: readonly NativeSharedListener[]
  readonly #file: SocketFile | undefined

  /**
   * Joins the servers that listen at `place`, or opens it.
   *
   * @throws NetpollError the system's code
   */
  static open(
    place: PlaceToOpen,
    targets: readonly SharedTarget[],
    tag: number,
    balance: LoadBalance,
  ): SharedListener {
    if (place.kind === 'path') checkSocketRights(place.path)
    const natives = nativePlaces(place)
    let errno: number | undefined
    for (const native of natives) {
      const parts: NativeSharedListener[] = []
      const leaveAll = (): void => {
        for (const part of parts) part.leave()
      }
      try {
        errno = joinAll(native, { targets, tag, balance }, parts)
      } catch (error) {
        leaveAll()
        throw error
      }
      if (errno === undefined) {
        return new SharedListener(parts, place.kind === 'path' ? socketFile(place.path, leaveAll) : undefined)
      }
      leaveAll()
      if (!isWithoutIpv6({ errno })) break
    }
    const { address, port, path } = (natives[0] as ListenPlace).address
    const where = address ?? shownPath(path ?? '')
    const named = port === undefined ? { address: where } : { address: where, port }
    throw systemError(errno ?? 0, 'listen', named)
  }

  private constructor(parts: readonly NativeSharedListener[], file: SocketFile | undefined) {
    this.#parts = parts
    this.#file = file
    openListeners.count += 1
  }

  /** Where the socket listens, as Node.js gives it. */
  get address(): Address | null {
    return toAddress(this.#parts[0]?.address() ?? null) ?? null
  }

  /** Why no thread accepts at the socket any more. */
  get failure(): string | undefined {
    return this.#parts[0]?.failure ?? undefined
  }

  /**
   * Gets no further connection.
   *
   * @throws NetpollError when the file of a unix socket could not be removed, and stays
   */
  stop(): number {
    openListeners.count -= 1
    const isLast = this.#parts.map((part) => part.leave()).includes(true)
    if (isLast && this.#file !== undefined) removeSocketFile(this.#file)
    return 0
  }
}

/** The pollers that join, and how. */
interface Joining {
  readonly targets: readonly SharedTarget[]
  readonly tag: number
  readonly balance: LoadBalance
}

/** Adds a part for each target, until the system refuses one. Returns its error number then. */
function joinAll(
  native: ListenPlace,
  { targets, tag, balance }: Joining,
  parts: NativeSharedListener[],
): number | undefined {
  const { SharedListener: Native } = nativeBinding()
  let joined = native
  for (const { poller, settings } of targets) {
    const part = new Native()
    const { errno } = part.join(joined, balance, poller.native, settings, tag)
    if (errno !== undefined) {
      part.leave()
      return errno
    }
    parts.push(part)
    // A port that the system chose is the same for all.
    joined = { ...native, address: part.address() ?? native.address }
  }
  return undefined
}

/** How to open the place: one way after the other, while the system lacks IPv6. */
function nativePlaces(place: PlaceToOpen): readonly ListenPlace[] {
  switch (place.kind) {
    case 'everywhere':
      return place.ipv4 === undefined ? [place.ipv6] : [place.ipv6, place.ipv4]
    case 'address':
    case 'path':
      return [place.native]
    case 'descriptor':
      return []
  }
}
