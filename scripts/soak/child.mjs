// What each process of a soak has in common: it says what it holds when it is asked, and for how long its event loop has
// not turned since it was asked before.

import { readdirSync } from 'node:fs'

import { stats } from '../../dist/index.mjs'

/** Has the workers of this process collect their garbage, too. */
const collecting = new BroadcastChannel('netpoll-soak')
collecting.unref()

/** Milliseconds between two looks at the clock. */
const beat = 20

let longest = 0
let before = performance.now()
setInterval(() => {
  const now = performance.now()
  longest = Math.max(longest, now - before - beat)
  before = now
}, beat)

/** Collects garbage, in the workers of this process as well, and lets finalizers have their turn. */
function collect() {
  // Two, because the finalizers of the first give back what the second collects.
  collecting.postMessage('collect')
  globalThis.gc?.()
  globalThis.gc?.()
  return new Promise((resolve) => setTimeout(resolve, 500))
}

/** Looks at most, each after a collection: workers that get no processor collect late. */
const mostLooks = 10

async function heldNow() {
  const gap = longest
  let chunks = Number.POSITIVE_INFINITY
  for (let look = 0; look < mostLooks; look += 1) {
    await collect()
    const { live } = stats().chunks
    if (live >= chunks) break
    chunks = live
  }
  longest = 0
  before = performance.now()
  return {
    chunks,
    descriptors: readdirSync('/proc/self/fd').length,
    resident: process.memoryUsage.rss(),
    gap,
  }
}

/** What the monitor is told beside that, by name. */
export const counts = {}

/** A fault of the product, which ends the soak. */
export function fault(text) {
  process.send?.({ fault: text })
}

/** A fault of the product, unless this process stood still. */
export function doubt(text) {
  process.send?.({ doubt: text })
}

/** Has `orders` carry out what the monitor asks for, each by its name. */
export function obey(orders) {
  process.on('message', async ({ order, argument }) => {
    const answer = order === 'measure' ? { ...(await heldNow()), counts } : await orders[order]?.(argument)
    process.send?.({ answer: order, value: answer })
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ answer: 'ready' })
}

process.on('unhandledRejection', (error) => fault(`an unhandled rejection: ${error?.stack ?? error}`))
process.on('uncaughtException', (error) => {
  fault(`an uncaught exception: ${error?.stack ?? error}`)
  process.exitCode = 1
  setTimeout(() => process.exit(), 500)
})
