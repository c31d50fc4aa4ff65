import { invalidValue } from '../errors'
import { checkInteger, checkObject, checkText } from '../checks/arguments'
import { optionNames, takeOptions } from '../checks/known-options'
import { checkDestination, serverNameOf, targetNames } from '../extension'
import type { DialTarget } from '../index'
import { hashOf } from './hashing'

/** One server of a service. */
export interface Endpoint {
  /** Where to dial. */
  readonly address: DialTarget
  /** Its share of the calls, relative to the others: a number above 0, at most 1,000,000. Default 1. */
  readonly weight?: number | undefined
  /** The name that its certificate has to be valid for, with TLS. */
  readonly servername?: string | undefined
}

/** An {@link Endpoint} after checking. */
export interface CheckedEndpoint extends Endpoint {
  /** Names it: two with the same id are one. */
  readonly id: string
  /** Of its id. */
  readonly hash: number
  readonly weight: number
}

const endpointNames = optionNames<Endpoint>({ address: true, weight: true, servername: true })

const maxWeight = 1_000_000

/**
 * Takes what a resolver says of one server. {@link checkServerName} looks at its name for TLS.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; what a member throws
 */
export function checkEndpoint(endpoint: Endpoint): CheckedEndpoint {
  const { address, weight = 1, servername: given } = takeOptions('endpoint', endpoint, endpointNames)
  checkObject('endpoint.address', address)
  const target = checkDestination(takeOptions('endpoint.address', address, targetNames))
  if (typeof weight !== 'number' || !(weight > 0 && weight <= maxWeight)) {
    throw invalidValue('endpoint.weight', `must be a number above 0, at most ${maxWeight}`, weight)
  }
  if (given !== undefined) checkText('endpoint.servername', given)
  const servername = given === undefined ? undefined : asAsked(given)
  const place = 'path' in target ? target.path : hostPort(target.host, target.port)
  const id = servername === undefined ? place : `${place} ${servername}`
  // Balancers and subscribers get it.
  return Object.freeze({
    id,
    hash: hashOf(id),
    address: Object.freeze(target),
    weight,
    ...(servername !== undefined && { servername }),
  })
}

/** A name in the form in which it is asked for, where it has one. */
function asAsked(servername: string): string {
  try {
    return serverNameOf('endpoint.servername', servername)
  } catch {
    // Without TLS no server is asked for it.
    return servername
  }
}

/**
 * Checks that the name of an endpoint can be asked for, which TLS alone does.
 *
 * @throws TypeError `ERR_INVALID_ARG_VALUE`
 */
export function checkServerName({ servername }: CheckedEndpoint): void {
  if (servername !== undefined) serverNameOf('endpoint.servername', servername)
}

/** An address as people write it: `host:port`, with brackets around IPv6. */
export function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * What such a text says: `host:port`, or the path of a unix socket.
 *
 * @throws TypeError with `ERR_INVALID_ARG_VALUE`
 */
export function parseAddress(text: string): DialTarget {
  if (text.startsWith('/') || text.startsWith('\0')) return { path: text }
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text)
  if (match === null) throw invalidValue('address', 'must be host:port or a path', text)
  const port = Number(match[3])
  checkInteger('address', port, 1, 65_535, text)
  return { host: match[1] ?? match[2] ?? '', port }
}
