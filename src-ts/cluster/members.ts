import { whenOver } from '../checks/promises'
import { clock } from '../extension'
import type { ClientTlsOptions } from '../index'
import { ClusterNode } from './cluster-node'
import type { CheckedEndpoint } from './endpoint'
import { EndpointLink, type LinkMuxOptions } from './endpoint-link'
import type { Moment } from './moment'
import type { Node } from './node'
import type { CheckedClusterOptions } from './options'
import { chooseSubset, rankNodes } from './subset'

const { freeze } = Object

/** Links that are closing and still have calls, at most: the oldest are destroyed. */
const maxDraining = 256

/** Milliseconds until servers that are out, and not connected, are looked at again for a probe. */
const probeInterval = 100

/** A cluster, as its members see it. */
export interface MembersListener {
  /** Calls can be made to one more server. */
  becameReady(): void
  /** A connection was lost. */
  lost(): void
  /** No server is ready, and the last attempt to connect to each has failed. */
  unreachable(error: unknown): void
  /** A server gets no more calls; those that it has go on. */
  draining(node: ClusterNode): void
  /** A server that has failed gets no more calls but probes. */
  ejected(node: ClusterNode): void
  /** A link is gone. */
  gone(): void
}

/** The servers of a cluster: which there are, which of them are connected to, and which calls may go to. */
export class Members {
  readonly #options: CheckedClusterOptions
  #ofMux: LinkMuxOptions
  readonly #listener: MembersListener
  readonly #moment: Moment
  readonly #nodes = new Map<string, ClusterNode>()
  readonly #draining = new Set<EndpointLink>()
  /** Those that have failed too often. */
  readonly #out = new Set<ClusterNode>()
  #ranked: readonly ClusterNode[] = []
  #chosen: ReadonlySet<ClusterNode> = new Set()
  #ready: readonly ClusterNode[] = []
  /** The same, as balancers get them, who may change nothing. */
  #views: readonly Node[] = []
  #offered: readonly ClusterNode[] = []
  #nextProbe = Number.POSITIVE_INFINITY

  constructor(
    options: CheckedClusterOptions,
    ofMux: LinkMuxOptions,
    moment: Moment,
    listener: MembersListener,
  ) {
    this.#options = options
    this.#ofMux = ofMux
    this.#moment = moment
    this.#listener = listener
  }

  /** Those that calls may go to. */
  get ready(): readonly ClusterNode[] {
    return this.#ready
  }

  /** The same, as balancers get them: another array once they are others. */
  get views(): readonly Node[] {
    return this.#views
  }

  /** All of the last list. */
  get all(): readonly ClusterNode[] {
    return this.#ranked
  }

  get ejected(): number {
    return this.#out.size
  }

  get draining(): number {
    return this.#draining.size
  }

  /** When the next probe may be made, at the earliest. */
  get nextProbe(): number {
    return this.#nextProbe
  }

  /** Whether there is no connection left. */
  get isEmpty(): boolean {
    return this.#chosen.size === 0 && this.#draining.size === 0
  }

  /** Takes a list of all servers. Those that are in it still keep their connections. */
  update(endpoints: readonly CheckedEndpoint[]): void {
    const gone = new Map(this.#nodes)
    for (const endpoint of endpoints) {
      const node = this.#nodes.get(endpoint.id)
      gone.delete(endpoint.id)
      if (node === undefined) this.#nodes.set(endpoint.id, this.#newNode(endpoint))
      else node.endpoint = endpoint
    }
    for (const [id, node] of gone) {
      this.#nodes.delete(id)
      this.#out.delete(node)
    }
    // Another array: weights may be others, too.
    this.#offer()
    this.#ranked = rankNodes(this.#nodes.values(), this.#options.clientId)
    this.#choose()
  }

  /** A server has been found to be ready no longer, of which nothing was told yet. */
  refresh(): void {
    this.#followReady()
  }

  /** A server that is out, and whose probe is due at `now`. It counts as probed. */
  takeProbe(now: number): ClusterNode | undefined {
    let found: ClusterNode | undefined
    let next = Number.POSITIVE_INFINITY
    for (const node of this.#out) {
      const { ejection, link } = node
      if (found === undefined && ejection.due <= now && link?.isReady === true) {
        found = node
        ejection.probe(now)
      }
      next = Math.min(next, ejection.due)
    }
    this.#nextProbe = Math.max(next, now + (found === undefined ? probeInterval : 0))
    return found
  }

  /** A call that began at `began` was answered. */
  answered(node: ClusterNode, began: number, now: number): void {
    if (node.answered(began, now)) this.returned(node)
  }

  /** A server that was out has answered. */
  returned(node: ClusterNode): void {
    this.#out.delete(node)
    this.#choose()
  }

  /** A call that began at `began` has failed by the server's fault. */
  failed(node: ClusterNode, began: number, now: number): void {
    const isFailing = node.failed(began, now)
    if (!isFailing || !this.#chosen.has(node)) return
    const { ejection } = node
    const max = Math.floor(this.#options.ejection.share * this.#chosen.size)
    if (!ejection.isOut && this.#out.size >= max) return
    ejection.eject(now)
    this.#out.add(node)
    this.#nextProbe = Math.min(this.#nextProbe, ejection.due)
    this.#listener.ejected(node)
    this.#choose()
  }

  /** Connections that are dialed from now on go by `tls`, those of servers that are found later as well. */
  setSecureContext(tls: ClientTlsOptions): void {
    this.#ofMux = { ...this.#ofMux, tls }
    for (const { link } of this.#chosen) link?.setSecureContext(tls)
    for (const link of this.#draining) link.setSecureContext(tls)
  }

  /** Closes all connections, once their calls have ended, or after `timeout` milliseconds. */
  close(timeout: number | undefined): void {
    this.#nodes.clear()
    this.#out.clear()
    this.#ranked = []
    for (const node of this.#chosen) this.#drain(node, timeout)
    this.#chosen = new Set()
    this.#ready = []
    this.#offer()
  }

  /** All calls end at once. */
  destroy(): void {
    this.close(0)
    for (const link of this.#draining) void link.close(0)
  }

  #newNode(endpoint: CheckedEndpoint): ClusterNode {
    const { slowStart, ejection } = this.#options
    return new ClusterNode(endpoint, this.#moment, slowStart, ejection)
  }

  /** Connects to those that are to be connected to, and to no others. */
  #choose(): void {
    const before = this.#chosen
    this.#chosen = chooseSubset(this.#ranked, this.#options.subset)
    for (const node of before) if (!this.#chosen.has(node)) this.#drain(node, this.#options.drainTimeout)
    for (const node of this.#chosen) node.link ??= this.#connect(node)
    this.#followReady()
  }

  #connect(node: ClusterNode): EndpointLink {
    const link: EndpointLink = new EndpointLink(node.endpoint, this.#ofMux, {
      readyChanged: () => node.link === link && this.#readyChanged(node, link),
      dialFailed: (error) => node.link === link && this.#dialFailed(node, link, error),
    })
    return link
  }

  #readyChanged(node: ClusterNode, { isReady }: EndpointLink): void {
    if (isReady) node.isDown = false
    else {
      node.isDown = true
      this.#listener.lost()
    }
    this.#choose()
  }

  #dialFailed(node: ClusterNode, { isReady }: EndpointLink, error: unknown): void {
    if (isReady) return
    node.isDown = true
    this.#choose()
    const isReachable = Array.from(this.#chosen).some(({ isDown }) => !isDown)
    if (!isReachable) this.#listener.unreachable(error)
  }

  /** Where all that are connected to have failed, calls go to them all the same. */
  #followReady(): void {
    const chosen = Array.from(this.#chosen)
    const sound = chosen.filter((node) => node.isReady)
    const ready = sound.length > 0 ? sound : chosen.filter(({ link }) => link?.isReady === true)
    const isSame =
      ready.length === this.#ready.length && ready.every((node, index) => node === this.#ready[index])
    if (isSame) return
    const before = new Set(this.#ready)
    const now = clock.now()
    this.#moment.now = now
    for (const node of ready) if (!before.has(node) && !node.ejection.isOut) node.start(now)
    this.#ready = ready
    this.#offer()
    if (ready.length > 0) this.#listener.becameReady()
  }

  /**
   * A look at a node says whether it is in the list: going through the list takes as long as a choice. A node that is not
   * has none, or it would keep all that were in it, and they the lists before.
   */
  #offer(): void {
    for (const node of this.#offered) node.views = undefined
    this.#offered = this.#ready
    this.#views = freeze(this.#ready.map(({ view }) => view))
    for (const node of this.#ready) node.views = this.#views
  }

  #drain(node: ClusterNode, timeout: number | undefined): void {
    const { link } = node
    node.link = undefined
    if (link === undefined) return
    this.#draining.add(link)
    this.#listener.draining(node)
    const gone = (): void => {
      this.#draining.delete(link)
      this.#listener.gone()
    }
    whenOver(link.close(timeout), gone, gone)
    if (this.#draining.size <= maxDraining) return
    const [oldest] = this.#draining
    if (oldest !== undefined) void oldest.close(0)
  }
}
