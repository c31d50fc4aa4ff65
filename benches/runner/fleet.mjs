// The servers that keep running from scenario to scenario. A server without load costs nothing.

import { Bench } from './bench.mjs'

/** One server of each kind and transport, started when first needed. */
export class Fleet {
  /** @type {Map<string, Bench>} */
  #benches = new Map()

  /**
   * @param {'tcp' | 'unix'} transport
   * @param {readonly import('./bench.mjs').Subject[]} subjects
   */
  async benches(transport, subjects) {
    const found = []
    for (const subject of subjects) {
      const key = `${transport} ${subject.id}`
      const bench = this.#benches.get(key) ?? (await Bench.start(subject, transport))
      this.#benches.set(key, bench)
      found.push(bench)
    }
    return found
  }

  async stop() {
    await Promise.all([...this.#benches.values()].map((bench) => bench.stop()))
    this.#benches.clear()
  }
}
