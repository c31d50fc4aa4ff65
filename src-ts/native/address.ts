import type { SocketAddress } from './binding'
import { shownPath } from './unix-path'

/** Host and port of an end of a TCP connection. */
export interface TcpAddress {
  /** Numeric IP address. */
  readonly address: string
  /** Which kind of address it is. */
  readonly family: 'IPv4' | 'IPv6'
  /** Port, 1 to 65,535. */
  readonly port: number
}

/** Host and port, or the path of a unix socket (`''` for an end without a name). */
export type Address = TcpAddress | string

/** An address as Node.js gives it. */
export function toAddress(address: SocketAddress | null): Address | undefined {
  if (address === null) return undefined
  if (address.address === undefined) return shownPath(address.path ?? '')
  const family = address.address.includes(':') ? 'IPv6' : 'IPv4'
  return { address: address.address, family, port: address.port ?? 0 }
}

/** An address, or whom to dial, in one text; `undefined` where there is none. */
export function addressText(
  place: Address | { readonly host: string; readonly port: number } | null | undefined,
): string | undefined {
  if (place === undefined || place === null) return undefined
  // As tools of Linux write names of its abstract namespace.
  if (typeof place === 'string') return place.replace('\0', '@') || 'an unnamed unix socket'
  const host = 'host' in place ? place.host : place.address
  return host.includes(':') ? `[${host}]:${place.port}` : `${host}:${place.port}`
}
