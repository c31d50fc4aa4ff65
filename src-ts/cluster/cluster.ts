import { NetpollError } from '../errors'
import { ClientLifecycle, clock, markFollowed, replacedTls } from '../extension'
import { type ClientTlsOptions, type CloseOptions, Mux, type Payload } from '../index'
import { asItIs, type ClusterCallOptions, type ClusterSendOptions, copied } from './call'
import { Calls } from './calls'
import { checkServerName } from './endpoint'
import type { LinkMuxOptions } from './endpoint-link'
import { channels } from './events'
import { Members } from './members'
import type { Moment } from './moment'
import { type ClusterOptions, partClusterOptions } from './options'
import { checkResolver, type Resolver } from './resolver'
import { type ClusterStats, statsOf, sumOf } from './stats'
import { Watcher } from './watcher'

/** @internal As its `call`, of a request that stays as it is; `cancel` makes what tells a server that it was given up. */
export let callOfCluster: (
  cluster: Cluster,
  request: Payload,
  options: ClusterCallOptions,
  cancel: (() => Payload) | undefined,
) => Promise<Buffer>

/**
 * Calls a service of several servers, which a resolver finds. Each call goes to a server that is connected and does well.
 * A call that was certainly not sent, or that is `idempotent`, goes to another if the first fails.
 *
 * @example
 * ```ts
 * import { createServer, lengthField } from 'netpoll'
 * import { Cluster, fixed } from 'netpoll/cluster'
 *
 * const framing = lengthField({ size: 4 })
 * const server = createServer({ framing }, (request) => request)
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const cluster = new Cluster(fixed([{ address: { host: '127.0.0.1', port: 8000 } }]), { framing })
 * const reply = await cluster.call('hello', { timeout: 1_000, idempotent: true })
 * console.log(reply.toString()) // hello
 * await cluster.close()
 * await server.close()
 * ```
 */
export class Cluster {
  #ofMux: LinkMuxOptions
  readonly #members: Members
  readonly #watcher: Watcher
  readonly #calls: Calls
  readonly #lifecycle: ClientLifecycle
  readonly #moment: Moment

  static {
    callOfCluster = (cluster, request, options, cancel) =>
      cluster.#calls.call(request, options, asItIs, callOfCluster, cancel)
  }

  /**
   * Begins to resolve, and to connect.
   *
   * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; RangeError `ERR_OUT_OF_RANGE`; NetpollError
   * `ERR_UNSUPPORTED` without a framing
   */
  constructor(resolver: Resolver, options: ClusterOptions) {
    checkResolver(resolver)
    const { ofCluster: checked, ofMux } = partClusterOptions(options)
    checkMuxOptions(ofMux)
    this.#ofMux = ofMux
    const moment = { now: clock.now() }
    this.#moment = moment
    this.#members = new Members(checked, ofMux, moment, {
      becameReady: () => this.#calls.serve(),
      lost: () => this.#watcher.refresh(),
      unreachable: (error) => this.#calls.unreachable(error),
      draining: ({ view: node }) => {
        if (channels.drain.hasSubscribers) channels.drain.publish({ cluster: this, node })
      },
      ejected: ({ view: node, ejection }) => {
        const until = ejection.due
        if (channels.eject.hasSubscribers) channels.eject.publish({ cluster: this, node, until })
      },
      gone: () => this.#lifecycle.followEmpty(),
    })
    this.#lifecycle = new ClientLifecycle({
      isEmpty: () => this.#calls.running === 0 && this.#members.isEmpty,
      beginClose: () => this.#followIdle(),
      destroyAll: () => this.#destroyAll(),
      stop: () => this.#calls.stop(),
      closedError: clusterClosed,
    })
    this.#calls = new Calls({
      checked,
      members: this.#members,
      moment,
      lifecycle: this.#lifecycle,
      cluster: this,
      ended: () => this.#followIdle(),
    })
    this.#watcher = new Watcher(resolver, {
      check: (endpoint) => {
        if (asksEndpoints(this.#ofMux)) checkServerName(endpoint)
      },
      found: (endpoints) => {
        if (channels.resolve.hasSubscribers) channels.resolve.publish({ cluster: this, endpoints })
        this.#members.update(endpoints)
      },
      failed: (error) => {
        if (channels.resolve.hasSubscribers) channels.resolve.publish({ cluster: this, error })
        checked.tell(error)
        if (this.#members.all.length === 0) this.#calls.unreachable(error)
      },
    })
    this.#watcher.start()
  }

  /**
   * Calls a server. Without one that is ready, the call waits as long as its timeout allows. Without a timeout it waits until
   * no server can be connected to.
   *
   * @throws NetpollError (as a rejection) as `connection.call`; `ERR_NO_ENDPOINT`, `ERR_CLUSTER_CLOSED`
   */
  call(request: Payload, options?: ClusterCallOptions): Promise<Buffer> {
    return this.#calls.call(request, options, copied, callEntry, undefined)
  }

  /**
   * As `mux.send`, to one of the servers. Without one that is ready, it waits as {@link call} does. It is never sent again.
   *
   * @throws NetpollError (as a rejection) as `connection.send`; `ERR_NO_ENDPOINT`, `ERR_CLUSTER_CLOSED`
   */
  send(message: Payload, options?: ClusterSendOptions): Promise<void> {
    return this.#calls.send(message, options, sendEntry)
  }

  /**
   * As `mux.setSecureContext`, for the connections to all servers, those included that are found later. An endpoint's
   * `servername` stays, unless the options have another.
   *
   * @throws NetpollError `ERR_UNSUPPORTED` without `tls`; TypeError `ERR_INVALID_ARG_TYPE`, `ERR_INVALID_ARG_VALUE`, and
   * then nothing has changed
   *
   * @example
   * ```ts
   * import { readFileSync } from 'node:fs'
   * import { lengthField } from 'netpoll'
   * import { Cluster, fixed } from 'netpoll/cluster'
   *
   * const identity = () => ({ key: readFileSync('key.pem'), cert: readFileSync('certificate.pem') })
   * const cluster = new Cluster(fixed([]), { framing: lengthField({ size: 4 }), tls: identity() })
   * cluster.setSecureContext(identity()) // once the files are others
   * await cluster.close()
   * ```
   */
  setSecureContext(options: ClientTlsOptions): void {
    const tls = replacedTls(this.#ofMux.tls, options)
    const ofMux = { ...this.#ofMux, tls }
    checkMuxOptions(ofMux)
    this.#ofMux = ofMux
    this.#members.setSecureContext(tls)
  }

  /** What the cluster holds now. */
  stats(): ClusterStats {
    this.#moment.now = clock.now()
    const { all, ready, ejected, draining } = this.#members
    const { pending, running, retries, hedges, overBudget, spareBytes } = this.#calls
    return {
      ...sumOf(all, { pending, running: running - pending }),
      endpoints: all.length,
      ready: ready.length,
      ejected,
      draining,
      retries,
      hedges,
      overBudget,
      spareBytes,
      nodes: all.map(statsOf),
    }
  }

  /**
   * Takes no more calls, waits until those that were made have ended, and closes all connections.
   *
   * @param options.timeout milliseconds after which calls that wait for a server get `ERR_CLUSTER_CLOSED`, and connections
   * that are left are destroyed. Default: never
   */
  async close(options: CloseOptions = {}): Promise<void> {
    await this.#lifecycle.close(options)
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Closing goes on: without calls, the connections close; without connections, it is over. */
  #followIdle(): void {
    if (this.#lifecycle.isOpen) return
    if (this.#calls.running === 0) {
      this.#watcher.stop()
      this.#members.close(undefined)
    }
    this.#lifecycle.followEmpty()
  }

  #destroyAll(): void {
    this.#watcher.stop()
    this.#calls.failAll(clusterClosed)
    this.#members.destroy()
    this.#lifecycle.followEmpty()
  }
}

/** Where users call. */
const { call: callEntry, send: sendEntry } = Cluster.prototype

/** Whether endpoints are asked for their names: not without TLS, nor where one name is for all. */
function asksEndpoints({ tls }: LinkMuxOptions): boolean {
  return tls === true || (tls !== undefined && tls.servername === undefined)
}

/** What is wrong with options of a mux is to be thrown here, and not once there is an endpoint. This one never dials. */
function checkMuxOptions(options: LinkMuxOptions): void {
  void new Mux({ path: '/' }, options).close({ timeout: 0 })
}

function clusterClosed(): NetpollError {
  return markFollowed(new NetpollError('ERR_CLUSTER_CLOSED', 'The cluster is closed', { sent: false }))
}
