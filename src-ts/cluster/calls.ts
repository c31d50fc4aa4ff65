import { invalidValue, type NetpollError } from '../errors'
import { whenOver } from '../checks/promises'
import { ignore } from '../checks/thenables'
import {
  captureContext,
  type ClientLifecycle,
  clock,
  type Entry,
  follow,
  isAborted,
  keepPayload,
  microtask,
  refuseAt,
  refusePromise,
  siteOf,
  stepBudget,
  throwIfAborted,
} from '../extension'
import type { Payload } from '../index'
import {
  callNames,
  type ClusterCall,
  type ClusterCallOptions,
  type ClusterSendOptions,
  type Keep,
  sendNames,
  takeCall,
} from './call'
import { type ClusterNode, clusterNodeOf } from './cluster-node'
import type { EndpointLink } from './endpoint-link'
import { channels, tellOf } from './events'
import { HedgeTimer, TwoTries } from './hedging'
import type { Members } from './members'
import type { Moment } from './moment'
import type { CheckedClusterOptions } from './options'
import { Outcome, outcomeOf, saysUnavailable } from './outcome'
import { RequestMemory } from './request-memory'
import { RetryBudget } from './retry-budget'
import { noEndpoint, WaitingCalls } from './waiting'

/** Tries of a call at most that was never sent. */
const maxUnsent = 10

/** Milliseconds since the last idempotent call in which a probe waits for another. */
const maxProbeDelay = 10_000

/** Milliseconds that a probe beside a call may take. */
const maxProbeTime = 10_000

type CallSite = ReturnType<typeof siteOf>

/** What calls are made with. */
export interface CallsOptions {
  readonly checked: CheckedClusterOptions
  readonly members: Members
  readonly moment: Moment
  readonly lifecycle: ClientLifecycle
  /** The cluster, for those who subscribe to its events. */
  readonly cluster: object
  /** A call is over. */
  readonly ended: () => void
}

/** A first try that has failed. */
interface FailedTry {
  readonly node: ClusterNode
  readonly began: number
  readonly error: unknown
}

/** A first try that was not made: no server is ready, or none could be chosen, for what was thrown. */
type NoTry = 'no server' | { readonly thrown: unknown }

/** Makes the calls of a cluster: each goes to a server that is ready, and, where that is safe, to another if it fails. */
export class Calls {
  readonly #options: CheckedClusterOptions
  readonly #members: Members
  readonly #moment: Moment
  readonly #lifecycle: ClientLifecycle
  readonly #cluster: object
  readonly #ended: () => void
  readonly #budget: RetryBudget
  readonly #hedges: HedgeTimer | undefined
  readonly #waiting: WaitingCalls
  readonly #memory = new RequestMemory()
  /** When an idempotent call was made last. */
  #lastIdempotent = Number.NEGATIVE_INFINITY
  running = 0
  retries = 0
  hedges = 0
  overBudget = 0

  constructor({ checked, members, moment, lifecycle, cluster, ended }: CallsOptions) {
    this.#options = checked
    this.#members = members
    this.#moment = moment
    this.#lifecycle = lifecycle
    this.#cluster = cluster
    this.#ended = ended
    this.#budget = new RetryBudget(checked.retry)
    this.#waiting = new WaitingCalls(checked.maxWaiters)
    this.#hedges = checked.hedgeDelay === undefined ? undefined : new HedgeTimer(checked.hedgeDelay)
  }

  /** Calls that wait until a server is ready. */
  get pending(): number {
    return this.#waiting.length
  }

  /** Bytes for copies of requests that no call uses. */
  get spareBytes(): number {
    return this.#memory.spare
  }

  /**
   * Makes a call. It may be sent again, after its caller has used the memory for something else: that is up to `keep`.
   * The stacks of errors begin where `entry` was called.
   */
  call(
    request: Payload,
    options: ClusterCallOptions | undefined,
    keep: Keep,
    entry: Entry,
    cancel: (() => Payload) | undefined,
  ): Promise<Buffer> {
    try {
      this.#lifecycle.checkOpen()
      const now = clock.now()
      const call = takeCall(options, callNames, this.#options.requestTimeout, now)
      call.cancel = cancel
      const sent = keep(call, request, this.#memory)
      this.#begin(call, now)
      const hedges = call.isIdempotent ? this.#hedges : undefined
      const site = siteOf(entry)
      if (hedges !== undefined) return this.#twice(call, hedges, site)
      // That function is the user's.
      return this.#options.isUnavailable === undefined
        ? this.#first(sent, call, site)
        : this.tries(call, site, undefined)
    } catch (error) {
      return refuseAt(error, entry)
    }
  }

  /** Sends what is not answered. The stacks of errors begin where `entry` was called. */
  send(message: Payload, options: ClusterSendOptions | undefined, entry: Entry): Promise<void> {
    try {
      this.#lifecycle.checkOpen()
      const now = clock.now()
      const call = takeCall(options, sendNames, 0, now)
      const kept = keepPayload(message)
      this.#begin(call, now)
      return this.#send(kept, call, siteOf(entry))
    } catch (error) {
      return refuseAt(error, entry)
    }
  }

  async #send(message: Payload, call: ClusterCall, site: CallSite): Promise<void> {
    try {
      for (;;) {
        const node = this.#choose(call)
        if (node?.link !== undefined) return await node.link.send(message)
        await this.#untilReady(call)
        this.#moment.now = clock.now()
      }
    } catch (error) {
      follow(error, this.#send, site)
      return await stepBudget.refuse(error)
    } finally {
      this.#end(call)
    }
  }

  /** One more server is ready. */
  serve(): void {
    this.#waiting.serve()
  }

  /** No server can be had at present: calls without a time limit do not wait for one. */
  unreachable(error: unknown): void {
    this.#waiting.unreachable(error)
  }

  /** No call waits any longer. */
  failAll(error: () => NetpollError): void {
    this.#waiting.failAll(error)
  }

  stop(): void {
    this.#waiting.stop()
    this.#hedges?.stop()
  }

  #begin({ isIdempotent }: ClusterCall, now: number): void {
    this.#moment.now = now
    this.#budget.deposit(now)
    if (isIdempotent) this.#lastIdempotent = now
    this.running += 1
  }

  #end(call: ClusterCall): void {
    call.release(this.#memory)
    this.running -= 1
    if (!this.#lifecycle.isOpen) this.#ended()
  }

  /** Makes the first try; where none can be made, further ones are. */
  #first(request: Payload, call: ClusterCall, site: CallSite): Promise<Buffer> {
    try {
      const node = this.#probe(request, call) ?? this.#choose(call)
      if (node?.link === undefined) return this.tries(call, site, 'no server')
      return this.#start(request, call, site, node, node.link)
    } catch (thrown) {
      return this.tries(call, site, { thrown })
    }
  }

  /** A try that succeeds, as most do, takes no promise beside its caller's, and no frame of a function that waits. */
  #start(
    request: Payload,
    call: ClusterCall,
    site: CallSite,
    node: ClusterNode,
    link: EndpointLink,
  ): Promise<Buffer> {
    // Of the caller: a failure is found elsewhere, and balancers and subscribers see this in further tries as well.
    const context = captureContext()
    return new Promise((resolve, reject) => {
      const began = this.#moment.now
      call.enter(node)
      node.began()
      const answered = (reply: Buffer): void => {
        this.#firstAnswered(call, node, began)
        resolve(reply)
      }
      const goOn = (failed: FailedTry): void => whenOver(this.tries(call, site, failed), resolve, reject)
      let hasFailed = false
      const failed = (error: unknown): void => {
        // A signal that a user has made may tell of its end, and throw when it is listened to.
        if (hasFailed) return
        hasFailed = true
        context.run(goOn, { node, began, error }, undefined)
      }
      link.start(request, call.optionsAt(began), call.cancel, answered, failed)
    })
  }

  /** Runs where the reply was found. What may close connections, or dial, comes after that. */
  #firstAnswered(call: ClusterCall, node: ClusterNode, began: number): void {
    call.leave(node)
    if (node.answered(began, clock.now())) microtask(() => this.#members.returned(node))
    if (this.#lifecycle.isOpen) this.#end(call)
    else microtask(() => this.#end(call))
  }

  /** Waits for a server, or throws what the first try has failed with, unless there may be another. */
  async #afterFirst(call: ClusterCall, first: FailedTry | NoTry): Promise<void> {
    if (first === 'no server') {
      await this.#untilReady(call)
      this.#moment.now = clock.now()
      return
    }
    // What has found the failure is to be done, and the caller awaits the call by then, as its error says.
    await undefined
    if ('thrown' in first) throw first.thrown
    const { node, began, error } = first
    call.leave(node)
    if (!this.#mayRetry(call, this.#failed(node, began, error))) throw error
    this.#retry(call, node, error)
  }

  /** Makes tries until one succeeds, or no other may be made. */
  async tries(call: ClusterCall, site: CallSite, first: FailedTry | NoTry | undefined): Promise<Buffer> {
    try {
      if (first !== undefined) await this.#afterFirst(call, first)
      const { request } = call
      for (;;) {
        const node = this.#probe(request, call) ?? this.#choose(call)
        if (node?.link === undefined) {
          await this.#untilReady(call)
          this.#moment.now = clock.now()
          continue
        }
        const began = this.#moment.now
        let failure: unknown
        try {
          call.enter(node)
          node.began()
          const reply = await node.link.call(request, call.optionsAt(began), call.cancel)
          const isUnavailable = this.#isUnavailable(reply)
          this.#answered(node, began, isUnavailable)
          if (!isUnavailable || !this.#mayRetry(call, Outcome.Failed)) return reply
        } catch (error) {
          failure = error
          if (!this.#mayRetry(call, this.#failed(node, began, error))) throw error
        } finally {
          call.leave(node)
        }
        this.#retry(call, node, failure)
      }
    } catch (error) {
      follow(error, tries, site)
      return await stepBudget.refuse(error)
    } finally {
      this.#end(call)
    }
  }

  #retry(call: ClusterCall, node: ClusterNode, error: unknown): void {
    this.#moment.now = clock.now()
    this.retries += 1
    call.retry(node.view)
    const { retry } = channels
    if (retry.hasSubscribers) retry.publish({ cluster: this.#cluster, node: node.view, error })
  }

  /** Makes a second try beside the first, if that takes long. The first reply counts. */
  #twice(given: ClusterCall, hedges: HedgeTimer, site: CallSite): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const tries = new TwoTries(given.signal)
      const call = given.withSignal(tries.first)
      let left = 1
      let first: unknown
      const hedge = hedges.start(() => {
        const second = this.#second(call, tries)
        if (second === undefined) return
        left += 1
        whenOver(second, won, lost)
      })
      const over = (): void => {
        hedges.settle(hedge)
        tries.end()
      }
      const won = (reply: Buffer): void => {
        over()
        resolve(reply)
      }
      const lost = (error: unknown): void => {
        first ??= error
        left -= 1
        if (left > 0) return
        over()
        reject(first)
      }
      whenOver(this.tries(call, site, undefined), won, lost)
    })
  }

  /** The second of two tries, if there are a server and a budget for it. */
  #second(call: ClusterCall, tries: TwoTries): Promise<Buffer> | undefined {
    if (call.node === undefined || this.#lifecycle.isDestroyed) return undefined
    const second = call.withSignal(tries.second)
    this.#moment.now = clock.now()
    const node = this.#chooseBeside(second)
    if (node === undefined || !this.#withdraw(this.#moment.now)) return undefined
    this.hedges += 1
    tellOf(channels.hedge, this.#cluster, node)
    return this.#once(second.request, second, node)
  }

  /** One try, which may fail. */
  async #once(request: Payload, call: ClusterCall, node: ClusterNode): Promise<Buffer> {
    const { link } = node
    const began = this.#moment.now
    call.enter(node)
    node.began()
    try {
      if (link === undefined) throw noEndpoint('The server is gone', undefined)
      const reply = await link.call(request, call.optionsAt(began), call.cancel)
      this.#answered(node, began, this.#isUnavailable(reply))
      return reply
    } catch (error) {
      this.#failed(node, began, error)
      throw error
    } finally {
      call.leave(node)
      // The other try of the same call may wait for this server.
      this.#waiting.wake((waiting) => waiting.call.isBeside(call))
    }
  }

  /**
   * The server that a call should go to because that has failed too often, and is tried again from time to time. An
   * idempotent call goes to another as well, so that its caller does not wait for a server that may have stopped.
   */
  #probe(request: Payload, call: ClusterCall): ClusterNode | undefined {
    const { now } = this.#moment
    const isWanted = now >= this.#members.nextProbe && call.retries === 0
    if (!isWanted || (!call.isIdempotent && now - this.#lastIdempotent < maxProbeDelay)) return undefined
    const node = this.#members.takeProbe(now)
    if (node === undefined) return undefined
    const isAlone = !this.#members.ready.some((other) => other !== node)
    if (!call.isIdempotent || isAlone || !this.#withdraw(now)) return node
    const probe = call.within(maxProbeTime, now)
    whenOver(this.#once(request, probe, node), ignore, ignore)
    return undefined
  }

  /** At the time of the moment, which the caller has set. */
  #choose(call: ClusterCall): ClusterNode | undefined {
    let node = this.#pick(call)
    if (node !== undefined && node.link?.isReady !== true) {
      // A mux tells of it once the code that has found it is done.
      this.#members.refresh()
      node = this.#pick(call)
    }
    if (node === undefined && call.hasTried) {
      call.forgetTried()
      node = this.#pick(call)
    }
    if (node !== undefined) tellOf(channels.pick, this.#cluster, node)
    return node
  }

  /** As {@link #choose}, where the first try goes on if the balancer throws. */
  #chooseBeside(second: ClusterCall): ClusterNode | undefined {
    try {
      return this.#choose(second)
    } catch (error) {
      this.#options.tell(error)
      return undefined
    }
  }

  #pick(call: ClusterCall): ClusterNode | undefined {
    const { views } = this.#members
    const picked: unknown = this.#options.balancer.pick(views, call.balanced)
    if (picked === undefined || picked === null) return undefined
    refusePromise('balancer.pick', picked)
    const node = clusterNodeOf(picked)
    if (node !== undefined && node.views === views) return call.isBusyAt(node) ? this.#idle(call) : node
    throw invalidValue('balancer.pick', 'must return one of the nodes that are ready', typeof picked)
  }

  /** A server where no try of the call is under way: a balancer need not look at what was tried. */
  #idle(call: ClusterCall): ClusterNode | undefined {
    const idle = this.#members.ready.filter((node) => node.link?.isReady === true && !call.isBusyAt(node))
    const { tried } = call.balanced
    return idle.find(({ view }) => !tried.includes(view)) ?? idle[0]
  }

  /** Waits until another server is ready. */
  #untilReady(call: ClusterCall): Promise<void> {
    throwIfAborted(call.signal)
    if (this.#lifecycle.isDestroyed) this.#lifecycle.checkOpen()
    return this.#waiting.wait(call)
  }

  #isUnavailable(reply: Buffer): boolean {
    return saysUnavailable(this.#options.isUnavailable, reply)
  }

  #answered(node: ClusterNode, began: number, isUnavailable: boolean): void {
    if (isUnavailable) this.#members.failed(node, began, clock.now())
    else this.#members.answered(node, began, clock.now())
  }

  #failed(node: ClusterNode, began: number, error: unknown): Outcome {
    const outcome = outcomeOf(error)
    if (outcome === Outcome.Failed) this.#members.failed(node, began, clock.now())
    else if (outcome === Outcome.Unsent) node.unsent()
    else node.abandoned(began, clock.now())
    return outcome
  }

  #mayRetry(call: ClusterCall, outcome: Outcome): boolean {
    if (outcome === Outcome.Caller || this.#lifecycle.isDestroyed) return false
    const max = outcome === Outcome.Unsent ? maxUnsent : this.#options.retry.tries
    if (outcome === Outcome.Failed && !call.isIdempotent) return false
    const now = clock.now()
    return call.retries < max && call.deadline > now && !isAborted(call.signal) && this.#withdraw(now)
  }

  #withdraw(now: number): boolean {
    if (this.#budget.withdraw(now)) return true
    this.overBudget += 1
    return false
  }
}

/** What awaits the tries, below which those stand who await the call. */
const { tries } = Calls.prototype
