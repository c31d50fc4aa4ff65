import type { ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  type FramedServerOptions,
  type RequestHandler,
  type Server,
  type WorkerServerOptions,
} from '../../dist/index.mjs'
import { Cluster, type ClusterOptions, type Endpoint, type Resolver } from '../../dist/cluster/index.mjs'
import { deferred, Inbox, until } from './deferred.mjs'
import { id, leave, request } from './leaving.mjs'
import { placeOf } from './listeners.mjs'
import { framing, portOf, serve } from './netpoll.mjs'
import type { Place } from './places.mjs'

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

/** Servers that echo, each at a place of its own, where it can be started again. */
export class EchoAt {
  readonly address: { readonly path: string } | { readonly host: string; readonly port: number }
  readonly #options: object
  #server: Server

  private constructor(address: EchoAt['address'], options: object, server: Server) {
    this.address = address
    this.#options = options
    this.#server = server
  }

  static async start(t: ExecutionContext, transport: Place['transport'], options: object): Promise<EchoAt> {
    const place = placeOf(t, transport)
    const server = await listening(options, place)
    const address = 'path' in place ? place : { host: place.host, port: portOf(server) }
    const echo = new EchoAt(address, options, server)
    t.teardown(() => echo.#server.close({ timeout: 0 }))
    return echo
  }

  /** Asks its clients to leave, answers what it has, and begins anew at the same place. */
  async restart(): Promise<void> {
    await this.#server.close()
    this.#server = await listening(this.#options, this.address)
  }
}

async function listening(options: object, place: EchoAt['address']): Promise<Server> {
  // Workers see no ids, which their requests keep.
  const server =
    'workers' in options
      ? createServer({ framing, ...options } as WorkerServerOptions)
      : createServer({ framing, id, ordered: false, goAway: leave, ...options }, (message) => message)
  await server.listen(place)
  return server
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
