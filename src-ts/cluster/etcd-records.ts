import { invalidValue } from '../errors'
import { hostPort, parseAddress, type Endpoint } from './endpoint'

/** What is kept in etcd for a server: as Kitex's registry has it. */
interface EtcdRecord {
  readonly network: string
  readonly address: string
  readonly weight?: number | undefined
  readonly servername?: string | undefined
}

/** The value of a server. */
export function recordOf({ address, weight, servername }: Endpoint): string {
  const path = address.path ?? ''
  const isPath = path !== ''
  const record: EtcdRecord = {
    network: isPath ? 'unix' : 'tcp',
    address: isPath ? path : hostPort(String(address.host ?? 'localhost'), Number(address.port)),
    weight,
    servername,
  }
  return JSON.stringify(record)
}

/**
 * What such a value says; or `host:port`, or the path of a unix socket, alone.
 *
 * @throws TypeError with `ERR_INVALID_ARG_VALUE`
 */
export function parseRecord(value: string): Endpoint {
  if (!value.startsWith('{')) return { address: parseAddress(value) }
  const { address, weight, servername } = JSON.parse(value) as { readonly [name: string]: unknown }
  if (typeof address !== 'string') throw invalidValue('address', 'must be a text', address)
  return {
    address: parseAddress(address),
    // Go writes what it does not have as 0.
    ...(typeof weight === 'number' && weight > 0 && { weight }),
    ...(typeof servername === 'string' && servername !== '' && { servername }),
  }
}
