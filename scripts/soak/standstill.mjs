// For how long the event loop of this process has not turned, and how much of that the system did not let it.

import { closeSync, openSync, readdirSync, readSync } from 'node:fs'

/** Milliseconds between two looks at the clock. */
const beat = 50
const threads = '/proc/self/task'

/** What the system tells of each thread, open all the time: there may be no descriptor left when it is read. */
const open = new Map()
const text = Buffer.alloc(64)

function openThreads() {
  try {
    for (const thread of readdirSync(threads)) {
      const number = Number(thread)
      if (!open.has(number)) open.set(number, openSync(`${threads}/${thread}/schedstat`))
    }
  } catch {
    // The descriptors are used up, or a thread has just ended: the next look finds those that are there.
  }
}

/** Milliseconds that each thread of this process was ready and got no processor, by its number. */
function waits() {
  openThreads()
  const found = new Map()
  for (const [thread, descriptor] of open) {
    try {
      const length = readSync(descriptor, text, 0, text.length, 0)
      found.set(thread, Number(text.latin1Slice(0, length).split(' ')[1]) / 1e6)
    } catch {
      // It has ended.
      closeSync(descriptor)
      open.delete(thread)
    }
  }
  return found
}

let at = performance.now()
let waited = waits()
let longest = 0
let longestOwn = 0

/** Milliseconds of the gap until now, without those that a thread waited for a processor. */
function ownPart(gap) {
  const before = waited
  waited = waits()
  const since = (thread) => waited.get(thread) - (before.get(thread) ?? 0)
  const others = [...waited.keys()].filter((thread) => thread !== process.pid).map(since)
  // While a loop stands still, another thread may do its work: a helper of the garbage collector, or a poller.
  return Math.max(0, gap - since(process.pid) - Math.max(0, ...others))
}

function look() {
  const gap = performance.now() - at - beat
  longest = Math.max(longest, gap)
  longestOwn = Math.max(longestOwn, ownPart(gap))
  at = performance.now()
}
setInterval(look, beat)

/** The longest gap since {@link forgetGaps}, and the longest of those without what the system did not let it. */
export const longestGaps = () => ({ gap: longest, own: longestOwn })

/** What this process does to be measured is no gap. */
export function forgetGaps() {
  longest = 0
  longestOwn = 0
  at = performance.now()
  waited = waits()
}
