import type { CheckedEndpoint, Endpoint } from './endpoint'
import { type CheckedEjection, Ejection } from './ejection'
import type { EndpointLink } from './endpoint-link'
import { PeakLatency } from './latency'
import type { Moment } from './moment'
import type { Node } from './node'

/** The least share of a slow start. */
const minShare = 0.1

/** Of a server that has not answered yet, while it is asked: the others come first. */
const unknownLoad = 1e9

/** @internal What the package knows of a node that a balancer has chosen; `undefined` for what is none of ours. */
export let clusterNodeOf: (node: unknown) => ClusterNode | undefined

/** A server, as balancers and subscribers get it: they can change nothing. */
class NodeView implements Node {
  readonly #node: ClusterNode

  static {
    clusterNodeOf = (node) =>
      typeof node === 'object' && node !== null && #node in node ? node.#node : undefined
  }

  constructor(node: ClusterNode) {
    this.#node = node
  }

  get endpoint(): Endpoint {
    return this.#node.endpoint
  }

  get id(): string {
    return this.#node.id
  }

  get hash(): number {
    return this.#node.hash
  }

  get weight(): number {
    return this.#node.weight
  }

  get running(): number {
    return this.#node.running
  }

  get latency(): number {
    return this.#node.latency
  }

  get load(): number {
    return this.#node.load
  }
}

/** A server, with what is known of it and, if calls may go to it, its connections. */
export class ClusterNode implements Node {
  readonly view: Node = new NodeView(this)
  readonly id: string
  readonly hash: number
  readonly ejection: Ejection
  endpoint: CheckedEndpoint
  link: EndpointLink | undefined
  running = 0
  /** All calls that it got, and those that have failed. */
  calls = 0
  failures = 0
  /** Whether its last attempt to connect has failed, or its connection was lost, and none is there. */
  isDown = false
  /** The list that balancers last got with it. */
  views: readonly Node[] | undefined
  readonly #latency = new PeakLatency()
  readonly #moment: Moment
  readonly #slowStart: number
  #readySince = Number.NEGATIVE_INFINITY

  constructor(endpoint: CheckedEndpoint, moment: Moment, slowStart: number, ejection: CheckedEjection) {
    this.id = endpoint.id
    this.hash = endpoint.hash
    this.endpoint = endpoint
    this.#moment = moment
    this.#slowStart = slowStart
    this.ejection = new Ejection(ejection)
  }

  /** Whether calls may go to it. */
  get isReady(): boolean {
    return this.link?.isReady === true && !this.ejection.isOut
  }

  get weight(): number {
    const { weight } = this.endpoint
    const since = this.#moment.now - this.#readySince
    if (since >= this.#slowStart) return weight
    return weight * Math.max(minShare, since / this.#slowStart)
  }

  get latency(): number {
    return this.#latency.at(this.#moment.now)
  }

  get load(): number {
    const { weight } = this.endpoint
    if (!this.#latency.isKnown) return this.running === 0 ? 0 : (unknownLoad * this.running) / weight
    return (this.#latency.at(this.#moment.now) * (this.running + 1)) / weight
  }

  /** It gets its share step by step from now on; another process may answer. */
  start(now: number): void {
    this.#readySince = now
    this.#latency.forget()
  }

  /** A call goes to it. */
  began(): void {
    this.running += 1
    this.calls += 1
  }

  /** A call that began at `began` was answered. Returns whether it is back by that. */
  answered(began: number, now: number): boolean {
    this.running -= 1
    this.#latency.observe(now - began, now)
    return this.ejection.answered(began, now)
  }

  /** A call that began at `began` has failed, by the server's fault. Returns whether it should be ejected. */
  failed(began: number, now: number): boolean {
    this.running -= 1
    this.failures += 1
    this.#latency.fail(now - began, now)
    return this.ejection.failed(began)
  }

  /** A call has ended in a way that says nothing of the server, but that it was not faster. */
  abandoned(began: number, now: number): void {
    this.running -= 1
    this.#latency.exceed(now - began, now)
  }

  /** A call was never sent. */
  unsent(): void {
    this.running -= 1
  }
}
