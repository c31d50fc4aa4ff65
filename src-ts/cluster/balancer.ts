import { invalidType } from '../errors'
import type { Node } from './node'
import { hashOf, joined } from './hashing'

/** A call, as a {@link Balancer} sees it: an object that does not change, and has nothing else. */
export interface BalancedCall {
  /** The option `key` of the call. */
  readonly key?: string | undefined
  /** Servers that the call has gone to already. */
  readonly tried: readonly Node[]
}

/**
 * Chooses the server of a call. It runs once for each try of each call, so it should take little time.
 *
 * @example
 * ```ts
 * import type { Balancer } from 'netpoll/cluster'
 *
 * const random: Balancer = {
 *   pick: (ready, { tried }) => {
 *     const others = ready.filter((node) => !tried.includes(node))
 *     return others[Math.floor(Math.random() * others.length)]
 *   },
 * }
 * console.log(random.pick([], { tried: [] })) // undefined
 * ```
 */
export interface Balancer {
  /**
   * Chooses one of `ready`, which is the same array as long as the same servers are ready. `undefined` where none will do: a
   * first try then waits until other servers are ready, a retry is not made.
   */
  pick(ready: readonly Node[], call: BalancedCall): Node | undefined
  /** Whether it has to see all endpoints, because clients would disagree otherwise. Default false: a subset will do. */
  readonly usesAll?: boolean | undefined
}

/** @throws TypeError with `ERR_INVALID_ARG_TYPE` */
export function checkBalancer(value: unknown): asserts value is Balancer {
  const isOne =
    typeof value === 'object' &&
    value !== null &&
    typeof (value as { readonly pick?: unknown }).pick === 'function'
  if (!isOne) throw invalidType('options.balancer', 'a Balancer', value)
}

/** Those that a call has not gone to: mostly all, which takes no new memory. */
function untried(ready: readonly Node[], { tried }: BalancedCall): readonly Node[] {
  return tried.length === 0 ? ready : ready.filter((node) => !tried.includes(node))
}

/** So many are looked at to find one by its weight, before the weights of all are. */
const maxSamples = 4

/** Chooses at random, by weight. */
class Sampler {
  #of: readonly Node[] | undefined
  #max = 0
  #isUniform = true

  /** One of `nodes`, which are not none. */
  sample(nodes: readonly Node[]): Node {
    if (nodes !== this.#of) this.#measure(nodes)
    for (let count = 0; count < maxSamples; count += 1) {
      const node = nodes[Math.floor(Math.random() * nodes.length)] as Node
      if (this.accepts(node)) return node
    }
    return byWeight(nodes)
  }

  /** Whether it is a node's turn, by chance and by its weight; `nodes` were sampled or {@link follow}ed before. */
  accepts(node: Node): boolean {
    return this.#isUniform || Math.random() * this.#max < node.weight
  }

  follow(nodes: readonly Node[]): void {
    if (nodes !== this.#of) this.#measure(nodes)
  }

  #measure(nodes: readonly Node[]): void {
    let [max, min] = [0, Number.POSITIVE_INFINITY]
    for (const { weight } of nodes) {
      max = Math.max(max, weight)
      min = Math.min(min, weight)
    }
    this.#of = nodes
    this.#max = max
    this.#isUniform = max === min
  }
}

/** One of `nodes` by chance, which takes a look at each. */
function byWeight(nodes: readonly Node[]): Node {
  let left = Math.random() * nodes.reduce((sum, { weight }) => sum + weight, 0)
  for (const node of nodes) {
    left -= node.weight
    if (left <= 0) return node
  }
  return nodes[0] as Node
}

/**
 * The less loaded of two that are chosen at random: by how long their calls take, and how many they have. The default.
 *
 * @example
 * ```ts
 * import { leastLoaded } from 'netpoll/cluster'
 *
 * console.log(leastLoaded().pick([], { tried: [] })) // undefined
 * ```
 */
export function leastLoaded(): Balancer {
  const sampler = new Sampler()
  return {
    pick(ready, call) {
      const nodes = untried(ready, call)
      if (nodes.length < 2) return nodes[0]
      const one = sampler.sample(nodes)
      let other = sampler.sample(nodes)
      if (other === one) other = sampler.sample(nodes)
      if (other === one) other = nodes[(nodes.indexOf(one) + 1) % nodes.length] as Node
      return other.load < one.load ? other : one
    },
  }
}

/**
 * One after the other, by weight.
 *
 * @example
 * ```ts
 * import { roundRobin } from 'netpoll/cluster'
 *
 * console.log(roundRobin().pick([], { tried: [] })) // undefined
 * ```
 */
export function roundRobin(): Balancer {
  const sampler = new Sampler()
  let next = Math.floor(Math.random() * 2 ** 20)
  return {
    pick(ready, call) {
      const nodes = untried(ready, call)
      if (nodes.length < 2) return nodes[0]
      sampler.follow(nodes)
      for (let count = 0; count < maxSamples * nodes.length; count += 1) {
        next = (next + 1) % 2 ** 30
        const node = nodes[next % nodes.length] as Node
        if (sampler.accepts(node)) return node
      }
      return byWeight(nodes)
    },
  }
}

/**
 * Calls with the same `key` go to the same server, from every client, as long as that is ready. When a server goes, only
 * its keys move. Calls without a key go to the less loaded of two.
 *
 * @example
 * ```ts
 * import { consistentHash } from 'netpoll/cluster'
 *
 * console.log(consistentHash().usesAll) // true
 * ```
 */
export function consistentHash(): Balancer {
  const keyless = leastLoaded()
  return {
    usesAll: true,
    pick(ready, call) {
      const { key } = call
      return key === undefined ? keyless.pick(ready, call) : highest(untried(ready, call), hashOf(key))
    },
  }
}

/** The node whose hash with that of the key is the highest (rendezvous hashing), by weight. */
function highest(nodes: readonly Node[], key: number): Node | undefined {
  let best: Node | undefined
  let max = Number.NEGATIVE_INFINITY
  for (const node of nodes) {
    const { hash, endpoint } = node
    const share = (joined(key, hash) + 0.5) / 2 ** 32
    const score = -(endpoint.weight ?? 1) / Math.log(share)
    if (score <= max) continue
    best = node
    max = score
  }
  return best
}
