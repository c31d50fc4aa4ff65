// How a process has its worker threads collect their garbage, too, and knows when all of them have.

import { threadId } from 'node:worker_threads'

import { pause } from './random.mjs'

/** Milliseconds after which threads are told again: one that has begun meanwhile was not. */
const again = 1_000
/** Milliseconds that a thread may take, also where it rarely gets a processor. */
const patience = 60_000

function openChannel() {
  const channel = new BroadcastChannel('netpoll-soak')
  channel.unref()
  return channel
}

/** Collects the garbage of this thread, and lets finalizers have their turn. */
async function collectHere() {
  // Two, because the second gives back what the first has found.
  globalThis.gc?.()
  globalThis.gc?.()
  for (let turn = 0; turn < 2; turn += 1) await new Promise(setImmediate)
}

/** Has this worker thread collect whenever its process does. */
export function collectWhenAsked() {
  const channel = openChannel()
  let last = 0
  channel.onmessage = async ({ data: { round } }) => {
    if (round === undefined || round <= last) return
    last = round
    await collectHere()
    channel.postMessage({ collected: round, thread: threadId })
  }
}

/** The garbage of a process. */
export class Collection {
  #channel = openChannel()
  #round = 0
  #collected = new Set()
  #threads

  /** `threads` returns how many worker threads there are that collect when they are asked. */
  constructor(threads) {
    this.#threads = threads
    this.#channel.onmessage = ({ data: { collected, thread } }) => {
      if (collected === this.#round) this.#collected.add(thread)
    }
  }

  /** Collects in every thread. Resolves to whether all of them have. */
  async run() {
    this.#round += 1
    this.#collected.clear()
    await collectHere()
    const end = performance.now() + patience
    for (let next = 0; this.#collected.size < this.#threads(); await pause(20)) {
      const now = performance.now()
      if (now > end) return false
      if (now < next) continue
      this.#channel.postMessage({ round: this.#round })
      next = now + again
    }
    return true
  }
}
