import { invalidType } from '../errors'
import { checkBoolean } from '../checks/arguments'
import { isUint8Array, lengthOf } from '../checks/bytes'
import { optionNames, refuseUnknown } from '../checks/known-options'
import {
  bufferView,
  deadlineOf,
  deadlinePassed,
  keepPayload,
  leaks,
  originOf,
  takeSignal,
  throwIfAborted,
  timeLimit,
  type WatchList,
} from '../extension'
import type { CallOptions, Payload } from '../index'
import type { BalancedCall } from './balancer'
import type { ClusterNode } from './cluster-node'
import type { Node } from './node'
import { maxKept, type RequestMemory } from './request-memory'

/** Options of `cluster.call`. */
export interface ClusterCallOptions extends CallOptions {
  /** What `consistentHash` chooses the server by. */
  readonly key?: string | undefined
  /**
   * Whether the call may be carried out more than once. Then it is made again, or a second time beside the first, although
   * a server may have got it. Default false.
   */
  readonly idempotent?: boolean | undefined
}

/** Options of `cluster.send`. */
export interface ClusterSendOptions extends CallOptions {
  /** What `consistentHash` chooses the server by. */
  readonly key?: string | undefined
}

/** Of `cluster.call`. */
export const callNames = optionNames<ClusterCallOptions>({
  timeout: true,
  deadline: true,
  signal: true,
  key: true,
  idempotent: true,
})

/** Of `cluster.send`. */
export const sendNames = optionNames<ClusterSendOptions>({
  timeout: true,
  deadline: true,
  signal: true,
  key: true,
})

const { freeze } = Object

const noNodes: readonly Node[] = freeze([])

/** What balancers see of most calls: those without a key that have gone nowhere yet. It takes no memory for each. */
const firstTry: BalancedCall = freeze({ key: undefined, tried: noNodes })

const noOptions: ClusterCallOptions = freeze({})
const unlimited: CallOptions = freeze({ timeout: 0 })

/** A call of a cluster, over all of its tries. */
export class ClusterCall {
  readonly isIdempotent: boolean
  /** When it is given up, on our clock; `Infinity` for never. */
  readonly deadline: number
  /** Of the user, or of the two tries that are made at once. */
  readonly signal: AbortSignal | undefined
  /** What balancers see of it, which they may keep: its key, and where it has gone since all that are ready were tried. */
  #balanced: BalancedCall
  /** Where tries of it are under way, if there may be several at once: no server gets one id twice. */
  #busy: Set<ClusterNode> | undefined
  /** Further tries that were made. */
  retries = 0
  /** Makes the message that tells a server that it was given up, where the protocol has one. */
  cancel: (() => Payload) | undefined
  /** Where its last try has gone. */
  node: ClusterNode | undefined
  /** What is sent, or the piece of memory whose first bytes that are. */
  #request: Payload = ''
  #piece: Buffer | undefined
  #length = 0

  constructor(
    key: string | undefined,
    isIdempotent: boolean,
    deadline: number,
    signal: AbortSignal | undefined,
  ) {
    this.#balanced = key === undefined ? firstTry : balancedOf(key, noNodes)
    this.isIdempotent = isIdempotent
    this.deadline = deadline
    this.signal = signal
  }

  /** Keeps a request that stays as it is. */
  keep(request: Payload): void {
    this.#request = request
  }

  /**
   * Keeps a request whose memory its caller uses for something else; returns what to send as long as that cannot be. Most
   * requests are bytes, for which nothing new is made.
   */
  keepCopy(request: Payload, memory: RequestMemory): Payload {
    const length = isUint8Array(request) ? lengthOf(request) : 0
    if (length === 0 || length > maxKept) {
      this.#request = keepPayload(request)
      return this.#request
    }
    const piece = memory.take(length)
    piece.set(request as Uint8Array)
    this.#piece = piece
    this.#length = length
    return request
  }

  /** What to send, whatever has become of what the user gave. */
  get request(): Payload {
    return this.#piece === undefined ? this.#request : bufferView(this.#piece, 0, this.#length)
  }

  /** It is over. Where tries may be under way at once, each has its own end: then the memory is left to them. */
  release(memory: RequestMemory): void {
    const piece = this.#piece
    if (piece === undefined || this.#busy !== undefined) return
    this.#piece = undefined
    memory.giveBack(piece)
  }

  /** What its next try may take: the limit of `requestTimeout` is over all tries. */
  optionsAt(now: number): CallOptions {
    return leaks === undefined ? this.#optionsAt(now) : calledFrom(leaks, { ...this.#optionsAt(now) }, this)
  }

  #optionsAt(now: number): CallOptions {
    const { deadline, signal } = this
    const isUnlimited = deadline === Number.POSITIVE_INFINITY
    if (isUnlimited && signal === undefined) return unlimited
    return { timeout: isUnlimited ? 0 : Math.max(1, Math.ceil(deadline - now)), signal }
  }

  /** What balancers see of it, which they may keep. */
  get balanced(): BalancedCall {
    const { key, tried } = this.#balanced
    const others = this.#busyViews(tried)
    return others.length === 0 ? this.#balanced : balancedOf(key, [...tried, ...others])
  }

  /** Whether it has gone anywhere that it could go to once more. */
  get hasTried(): boolean {
    return this.#balanced.tried.length > 0
  }

  /** A try has failed on `node`: the next goes to another. */
  retry(node: Node): void {
    this.retries += 1
    const { key, tried } = this.#balanced
    this.#balanced = balancedOf(key, [...tried, node])
  }

  /** All that are ready were tried: the next try may go to any. */
  forgetTried(): void {
    this.#balanced = balancedOf(this.#balanced.key, noNodes)
  }

  /** A try of it goes to `node`. */
  enter(node: ClusterNode): void {
    this.node = node
    this.#busy?.add(node)
  }

  /** That try has ended. */
  leave(node: ClusterNode): void {
    this.#busy?.delete(node)
  }

  /** Whether another try of it is under way at `node`. */
  isBusyAt(node: ClusterNode): boolean {
    return this.#busy?.has(node) === true
  }

  /** Whether both are tries of one call that may be under way at once. */
  isBeside(other: ClusterCall): boolean {
    return this.#busy !== undefined && this.#busy === other.#busy
  }

  /** The same call with another signal. */
  withSignal(signal: AbortSignal): ClusterCall {
    return this.#copy(this.deadline, signal)
  }

  /** The same call as one that its caller does not wait for, and that takes no longer than that. */
  within(milliseconds: number, now: number): ClusterCall {
    const deadline = Math.min(this.deadline, now + milliseconds)
    return this.#copy(deadline, undefined)
  }

  #busyViews(tried: readonly Node[]): readonly Node[] {
    if (this.#busy === undefined || this.#busy.size === 0) return noNodes
    return Array.from(this.#busy, ({ view }) => view).filter((view) => !tried.includes(view))
  }

  #copy(deadline: number, signal: AbortSignal | undefined): ClusterCall {
    const copy = new ClusterCall(this.#balanced.key, this.isIdempotent, deadline, signal)
    if (leaks !== undefined) calledFrom(leaks, copy, this)
    copy.cancel = this.cancel
    copy.#request = this.#request
    copy.#piece = this.#piece
    copy.#length = this.#length
    copy.#balanced = this.#balanced
    this.#busy ??= new Set()
    copy.#busy = this.#busy
    return copy
  }
}

/** Notes that `made` belongs to `call`; returns it. */
function calledFrom<Made extends object>({ callers }: WatchList, made: Made, call: ClusterCall): Made {
  callers.set(made, callers.get(call) ?? '')
  return made
}

/** Keeps a request for as long as its call may send it; returns what is sent before its caller goes on. */
export type Keep = (call: ClusterCall, request: Payload, memory: RequestMemory) => Payload

/** Of what stays as it is. */
export const asItIs: Keep = (call, request) => {
  call.keep(request)
  return request
}

/** Of what its caller uses for something else. */
export const copied: Keep = (call, request, memory) => call.keepCopy(request, memory)

/** An object of its own, which a balancer cannot change. */
function balancedOf(key: string | undefined, tried: readonly Node[]): BalancedCall {
  return freeze({ key, tried: freeze(tried) })
}

/**
 * Takes the options of a call, each once.
 *
 * @throws TypeError with `ERR_INVALID_ARG_TYPE` or `ERR_INVALID_ARG_VALUE`; RangeError `ERR_OUT_OF_RANGE`; NetpollError
 * `ERR_REQUEST_TIMEOUT` when the deadline has passed; the signal's reason
 */
export function takeCall(
  given: ClusterCallOptions | undefined,
  names: typeof callNames | typeof sendNames,
  requestTimeout: number,
  now: number,
): ClusterCall {
  if (given !== undefined) refuseUnknown('options', given, names)
  const { timeout, deadline, signal, key, idempotent } = given ?? noOptions
  const limit = timeLimit('options.timeout', timeout, requestTimeout)
  const latest = deadlineOf('options.deadline', deadline)
  if (key !== undefined && typeof key !== 'string') throw invalidType('options.key', 'of type string', key)
  checkBoolean('idempotent', idempotent)
  const taken = takeSignal(signal)
  throwIfAborted(taken)
  if (latest <= now) throw deadlinePassed()
  const end = limit === 0 ? Number.POSITIVE_INFINITY : now + limit
  const call = new ClusterCall(key, idempotent === true, Math.min(end, latest), taken)
  leaks?.callers.set(call, originOf())
  return call
}
