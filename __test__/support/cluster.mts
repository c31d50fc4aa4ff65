import type { ExecutionContext } from 'ava'

import type { Connection, FramedServerOptions, RequestHandler, Server } from '../../dist/index.mjs'
import { Cluster, type ClusterOptions, type Endpoint, type Resolver } from '../../dist/cluster/index.mjs'
import { deferred, Inbox, until } from './deferred.mjs'
import { id, request } from './leaving.mjs'
import { framing, serve } from './netpoll.mjs'

/** A server of a service, with the requests that it got. */
export interface Member {
  readonly endpoint: Endpoint
  readonly port: number
  readonly server: Server
  readonly got: string[]
  readonly accepted: Inbox<Connection>
}

/** So many servers, gone with the test. */
export async function members(
  t: ExecutionContext,
  count: number,
  handler: (request: Buffer, index: number) => ReturnType<RequestHandler> = (message) => message,
  options: Partial<FramedServerOptions> = {},
): Promise<readonly Member[]> {
  const all: Member[] = []
  for (let index = 0; index < count; index += 1) {
    const got: string[] = []
    const accepted = new Inbox<Connection>()
    const onConnect = accepted.push
    const { server, port } = await serve(t, { id, ordered: false, onConnect, ...options }, (message) => {
      got.push(message.toString('utf8', 4))
      return handler(message, index)
    })
    all.push({ endpoint: { address: { host: '127.0.0.1', port } }, port, server, got, accepted })
  }
  return all
}

export const endpointsOf = (all: readonly Member[]): readonly Endpoint[] =>
  all.map(({ endpoint }) => endpoint)

/** A resolver that a test tells what there is. */
export class ToldResolver implements Resolver {
  readonly #lists: (readonly Endpoint[] | Error)[] = []
  #wake = deferred()
  refreshes = 0
  watches = 0

  constructor(first?: readonly Endpoint[]) {
    if (first !== undefined) this.tell(first)
  }

  tell(list: readonly Endpoint[] | Error): void {
    this.#lists.push(list)
    this.#wake.resolve()
  }

  async *watch(signal: AbortSignal): AsyncGenerator<readonly Endpoint[]> {
    this.watches += 1
    const stopped = deferred()
    signal.addEventListener('abort', () => stopped.resolve())
    while (!signal.aborted) {
      for (let list = this.#lists.shift(); list !== undefined; list = this.#lists.shift()) {
        if (list instanceof Error) throw list
        yield list
      }
      this.#wake = deferred()
      await Promise.race([this.#wake.promise, stopped.promise])
    }
  }

  readonly refresh = (): void => {
    this.refreshes += 1
  }
}

/** A cluster without a slow start, gone with the test. */
export function clusterOf(
  t: ExecutionContext,
  resolver: Resolver,
  options: Partial<ClusterOptions> = {},
): Cluster {
  const cluster = new Cluster(resolver, {
    framing,
    id,
    slowStart: 0,
    backoff: { min: 1, max: 20 },
    ...options,
  })
  t.teardown(() => cluster.close({ timeout: 0 }))
  return cluster
}

/** Waits until so many servers are ready. */
export const ready = (cluster: Cluster, count: number): Promise<void> =>
  until(() => cluster.stats().ready === count)

/** Makes a call of a text; gives the text of its reply. */
export async function say(
  cluster: Cluster,
  text: string,
  options: Parameters<Cluster['call']>[1] = {},
): Promise<string> {
  return (await cluster.call(request(text), options)).toString('utf8', 4)
}

/** Makes so many calls one after the other. */
export async function sayAll(
  cluster: Cluster,
  count: number,
  options: Parameters<Cluster['call']>[1] = {},
): Promise<void> {
  for (let index = 0; index < count; index += 1) await say(cluster, `${index}`, options)
}
