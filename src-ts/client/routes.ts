import { constants } from 'node:os'

import { type NetpollError, systemError, withoutStack } from '../errors'
import { checkPort, checkText } from '../checks/arguments'
import { optionNames } from '../checks/known-options'
import type { SocketAddress } from '../native/binding'
import { checkSocketPath, shownPath, systemPath } from '../native/unix-path'
import type { CheckedDialSettings, DialTarget } from './dial-options'
import { type LookupLimits, type ResolvedAddress, resolveHost } from './resolve'

/** The address to dial, checked. */
export type Destination = { readonly path: string } | { readonly host: string; readonly port: number }

/** Where one attempt goes, and from where, if the user cares. */
export interface Route {
  readonly remote: SocketAddress
  readonly local: SocketAddress | undefined
  /** Of the addresses; `undefined` for a unix socket. */
  readonly family: 4 | 6 | undefined
}

/** The address to dial, for all dials of a pool or mux: how is what their options say. */
export const targetNames = optionNames<DialTarget>({ host: true, port: true, path: true })

/**
 * Checks the address to dial, in the forms that `net.connect` takes. Agents pass on what they have. So `null` and an
 * empty text are as absent, a port may be text, and a path goes before host and port.
 *
 * @param leastPort 0 where the system is to refuse that port
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`
 */
export function checkDestination(options: DialTarget, leastPort: 0 | 1 = 1): Destination {
  const given: { readonly path?: unknown; readonly port?: unknown; readonly host?: unknown } = options
  const path = given.path ?? ''
  if (path !== '') {
    checkText('options.path', path)
    checkSocketPath('connect', path)
    return { path }
  }
  const port = numberIn(given.port)
  const host = given.host === '' ? 'localhost' : (given.host ?? 'localhost')
  checkPort(port, leastPort, given.port)
  checkText('options.host', host)
  return { port, host }
}

/** The number that a text says, as `net.connect` reads it: NaN for one that says none. Anything else is what it is. */
function numberIn(value: unknown): unknown {
  if (typeof value !== 'string') return value
  return value.trim() === '' ? Number.NaN : Number(value)
}

/** The ways to a destination, at least one, in the order of the lookup. */
export async function findRoutes(
  destination: Destination,
  settings: CheckedDialSettings,
  limits: LookupLimits,
): Promise<readonly Route[]> {
  if ('path' in destination)
    return [{ remote: { path: systemPath(destination.path) }, local: undefined, family: undefined }]
  const { host, port } = destination
  const found = await resolveHost(host, settings.lookup, limits)
  return reachable(found, settings).map(({ address, family }) => ({
    remote: { address, port },
    local: localEnd(family, settings),
    family,
  }))
}

/** Those of the family of the local address, if one was asked for. */
function reachable(
  addresses: readonly ResolvedAddress[],
  { localAddress }: CheckedDialSettings,
): readonly ResolvedAddress[] {
  if (localAddress === undefined) return addresses
  const usable = addresses.filter(({ family }) => family === localAddress.family)
  if (usable.length > 0) return usable
  throw systemError(constants.errno.EAFNOSUPPORT, 'bind', { address: localAddress.address })
}

function localEnd(
  family: 4 | 6,
  { localAddress, localPort }: CheckedDialSettings,
): SocketAddress | undefined {
  if (localAddress !== undefined) return { address: localAddress.address, port: localPort }
  if (localPort === 0) return undefined
  return { address: family === 4 ? '0.0.0.0' : '::', port: localPort }
}

/** Why an attempt has failed. */
export function connectError(errno: number, { remote, local }: Route): NetpollError {
  // Of the dial it is the caller's frame that counts.
  return withoutStack(() => attemptError(errno, remote, local))
}

function attemptError(errno: number, remote: SocketAddress, local: SocketAddress | undefined): NetpollError {
  if (remote.port === undefined) {
    return systemError(errno, 'connect', { address: shownPath(remote.path ?? '') })
  }
  const { address = '', port } = remote
  // What the system says may be about either end.
  const from = local && `${local.address}:${local.port}`
  // No program listens at port 0, and Node.js does not name it.
  return systemError(errno, 'connect', { address, ...(port === 0 ? {} : { port }), from })
}
