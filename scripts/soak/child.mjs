// What each process of a soak has in common: it says what it holds when it is asked, and for how long its event loop has
// not turned since it was asked before.

import { readdirSync } from 'node:fs'

import { stats } from '../../dist/index.mjs'
import { Collection } from './collecting.mjs'
import { pause } from './random.mjs'
import { forgetGaps, longestGaps } from './standstill.mjs'

/** Looks at most, each after a collection: a chunk that several threads have is free once the last has let go of it. */
const mostLooks = 10

/** Chunks that are reachable, in all threads together. */
async function reachableChunks(collection) {
  let chunks = Number.POSITIVE_INFINITY
  for (let look = 0; look < mostLooks; look += 1) {
    if (!(await collection.run())) {
      fault('a worker thread has not collected its garbage within a minute')
      break
    }
    const { live } = stats().chunks
    if (live >= chunks) break
    chunks = live
    // Threads let go of the chunks that nothing has come in for a while.
    await pause(250)
  }
  return chunks
}

async function heldNow(collection) {
  const gaps = longestGaps()
  const chunks = await reachableChunks(collection)
  forgetGaps()
  return {
    chunks,
    descriptors: readdirSync('/proc/self/fd').length,
    resident: process.memoryUsage.rss(),
    ...gaps,
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

/**
 * Has `orders` carry out what the monitor asks for, each by its name.
 *
 * @param threads returns how many worker threads there are that collect when they are asked
 */
export function obey(orders, threads = () => 0) {
  const collection = new Collection(threads)
  process.on('message', async ({ order, argument }) => {
    const answer =
      order === 'measure' ? { ...(await heldNow(collection)), counts } : await orders[order]?.(argument)
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
