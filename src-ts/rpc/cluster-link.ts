import type { CallOptions, ClientTlsOptions, CloseOptions, GetOptions, Payload, PoolStats } from '../index'
import { callOfCluster } from '../cluster/extension'
import {
  Cluster,
  type ClusterCallOptions,
  type ClusterOptions,
  type ClusterStats,
  type Resolver,
} from '../cluster/index'
import type { BufferBound } from './inflater'

/** What options of one call say beside the time that it may take: to the connections of one server they mean nothing. */
export type Choice = Pick<ClusterCallOptions, 'key' | 'idempotent'>

/** Bytes of inflated replies at most, where nothing else is said: as those of a dialer. */
const maxInflated = 1024 ** 3

/** The servers that a resolver finds. */
export class ClusterLink {
  readonly #cluster: Cluster
  readonly bound: BufferBound

  constructor(resolver: Resolver, options: ClusterOptions) {
    this.#cluster = new Cluster(resolver, options)
    this.bound = boundOf(options.maxBufferedBytes ?? maxInflated)
  }

  call(
    request: Payload,
    { timeout, signal }: CallOptions,
    cancel: (() => Payload) | undefined,
    { key, idempotent }: Choice,
  ): Promise<Buffer> {
    return callOfCluster(this.#cluster, request, { timeout, signal, key, idempotent }, cancel)
  }

  send(message: Payload, { timeout, signal }: GetOptions, { key }: Choice): Promise<void> {
    return this.#cluster.send(message, { timeout, signal, key })
  }

  setSecureContext(options: ClientTlsOptions): void {
    this.#cluster.setSecureContext(options)
  }

  stats(): PoolStats & { readonly cluster: ClusterStats } {
    const cluster = this.#cluster.stats()
    const { connected, free, pending, queued, running, size } = cluster
    return { connected, free, pending, queued, running, size, cluster }
  }

  close(options?: CloseOptions): Promise<void> {
    return this.#cluster.close(options)
  }
}

/** One bound for the inflated replies of all servers: they have no connection in common that could count them. */
function boundOf(max: number): BufferBound {
  let held = 0
  return {
    replaceClaim(before, now) {
      held += now - before
      return held <= max
    },
  }
}
