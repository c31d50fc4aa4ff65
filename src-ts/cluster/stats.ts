import type { PoolStats } from '../index'
import { withSize } from '../extension'
import type { ClusterNode } from './cluster-node'
import type { Endpoint } from './endpoint'

/** What a cluster knows of one server. */
export interface NodeStats {
  /** Its address as text, with the `servername` if there is one. */
  readonly id: string
  /** What the resolver has said of it. */
  readonly endpoint: Endpoint
  /** `'idle'` if it is not in the subset; `'ejected'` if it gets no calls but probes, connected or not. */
  readonly state: 'idle' | 'connecting' | 'ready' | 'ejected'
  /** Calls that wait for its reply. */
  readonly running: number
  /** Milliseconds that its calls take: an average that follows slow calls at once. */
  readonly latency: number
  /** Calls that it got since it is in the list, retries included. */
  readonly calls: number
  /** Those of them that have failed by the server's fault. */
  readonly failures: number
}

/** What a cluster holds now. `connected` and `free` count the connections of all its muxes. */
export interface ClusterStats extends PoolStats {
  /** Servers of the last list. */
  readonly endpoints: number
  /** Those that calls may go to. */
  readonly ready: number
  /** Those that get no calls but probes. */
  readonly ejected: number
  /** Servers that get no more calls, and have some yet, or are closing. */
  readonly draining: number
  /** Further tries that were made since the start. */
  readonly retries: number
  /** Second tries that were made beside the first. */
  readonly hedges: number
  /** Retries and hedges that were not made for lack of budget. */
  readonly overBudget: number
  /** Bytes of memory for copies of requests that no call uses at present. They are kept for the next calls: 1 MiB at most. */
  readonly spareBytes: number
  /** Each server of the last list. */
  readonly nodes: readonly NodeStats[]
}

/** The sums of what the muxes of a cluster hold. */
export function sumOf(
  nodes: readonly ClusterNode[],
  { pending, running }: { readonly pending: number; readonly running: number },
): PoolStats {
  let [connected, free, waiting] = [0, 0, 0]
  for (const { link } of nodes) {
    if (link === undefined) continue
    const stats = link.stats()
    connected += stats.connected
    free += stats.free
    waiting += stats.pending
  }
  return withSize({ connected, free, pending: pending + waiting, queued: pending, running })
}

export function statsOf(node: ClusterNode): NodeStats {
  const { id, endpoint, running, latency, calls, failures } = node
  return { id, endpoint: shown(endpoint), state: stateOf(node), running, latency, calls, failures }
}

function stateOf({ link, isReady, ejection }: ClusterNode): NodeStats['state'] {
  if (link === undefined) return 'idle'
  if (ejection.isOut) return 'ejected'
  return isReady ? 'ready' : 'connecting'
}

function shown({ address, weight, servername }: Endpoint): Endpoint {
  return servername === undefined ? { address, weight } : { address, weight, servername }
}
