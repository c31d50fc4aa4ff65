// The servers that keep running from scenario to scenario. A server without load
// costs nothing.

import { Bench } from './bench.mjs'
import { PEERS } from './peers.mjs'

/** One server of each kind and transport, started when first needed. */
export class Fleet {
  /** @type {Map<string, Bench>} */
  #benches = new Map()
  #reply

  /** @param {import('../servers/handler.mjs').Reply} [reply] What the servers answer. */
  constructor(reply = 'echo') {
    this.#reply = reply
  }

  /**
   * @param {'tcp' | 'unix'} transport
   * @param {readonly import('./peers.mjs').PeerName[]} peers
   */
  async benches(transport, peers) {
    const found = []
    for (const peer of peers) {
      const key = `${transport} ${peer}`
      const bench = this.#benches.get(key) ?? (await this.#start(peer, transport))
      this.#benches.set(key, bench)
      found.push(bench)
    }
    return found
  }

  /**
   * @param {import('./peers.mjs').PeerName} peer
   * @param {'tcp' | 'unix'} transport
   */
  #start(peer, transport) {
    return Bench.start(peer, transport, this.#reply === 'inverted' ? PEERS[peer].inverted : [])
  }

  async stop() {
    await Promise.all([...this.#benches.values()].map((bench) => bench.stop()))
    this.#benches.clear()
  }
}
