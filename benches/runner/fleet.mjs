// The servers that keep running from scenario to scenario. A server without load costs nothing.

import { Bench } from './bench.mjs'

/** One server of each kind and transport, started when first needed. */
export class Fleet {
  /** @type {Map<string, Bench>} */
  #benches = new Map()

  /** @param {Transport} transport @param {readonly Subject[]} subjects */
  async benches(transport, subjects) {
    const found = []
    for (const subject of subjects) {
      const key = `${transport} ${subject.id} ${subject.place}`
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

/**
 * Starts servers for one use of them, and stops them whatever happens.
 *
 * @template Result
 * @param {Transport} transport
 * @param {readonly Subject[]} subjects
 * @param {(benches: readonly Bench[]) => Promise<Result>} use
 */
export async function withServers(transport, subjects, use) {
  const fleet = new Fleet()
  try {
    return await use(await fleet.benches(transport, subjects))
  } finally {
    await fleet.stop()
  }
}

/**
 * The same of one server.
 *
 * @template Result
 * @param {Subject} subject
 * @param {(bench: Bench) => Promise<Result>} use
 * @param {Transport} [transport]
 */
export async function withServer(subject, use, transport = 'tcp') {
  const bench = await Bench.start(subject, transport)
  try {
    return await use(bench)
  } finally {
    await bench.stop()
  }
}
