import { type Inspection, show } from '../process/inspection'
import type { AddressDialer } from './address-dialer'
import type { ClientLifecycle } from './client-lifecycle'
import type { PoolStats } from './pool-stats'

/** What a pool or mux is made of, as far as it is shown. */
export interface ShownClient {
  readonly name: 'Pool' | 'Mux'
  readonly lifecycle: ClientLifecycle
  readonly dialer: AddressDialer
  readonly stats: PoolStats
}

/** The text of a pool or mux for `util.inspect`. */
export function showClient(
  client: object,
  { name, lifecycle, dialer, stats }: ShownClient,
  depth: number | null | undefined,
  options: Inspection | undefined,
): string {
  return show(client, name, { state: lifecycle.state, address: dialer.text, ...stats }, depth, options)
}
