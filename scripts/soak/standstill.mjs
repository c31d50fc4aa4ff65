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

/** Milliseconds that each thread of this process has run, and was ready and got no processor, by its number. */
function times() {
  openThreads()
  const found = new Map()
  for (const [thread, descriptor] of open) {
    try {
      const length = readSync(descriptor, text, 0, text.length, 0)
      const [ran, waited] = text
        .latin1Slice(0, length)
        .split(' ')
        .map((nanoseconds) => Number(nanoseconds) / 1e6)
      found.set(thread, { ran, waited })
    } catch {
      // It has ended.
      closeSync(descriptor)
      open.delete(thread)
    }
  }
  return found
}

let at = performance.now()
let before = times()
if (!before.has(process.pid))
  throw new Error(`${threads} does not tell how long a thread waits for a processor`)
let longest = 0
let longestOwn = 0
let longestWait = 0

/** Milliseconds of the gap until now, without those that a thread waited for a processor. */
function ownPart(gap) {
  const now = times()
  const since = (thread, what) => now.get(thread)[what] - (before.get(thread)?.[what] ?? 0)
  const others = [...now.keys()].filter((thread) => thread !== process.pid)
  // While a loop stands still, another thread may do its work: a helper of the garbage collector, or a poller.
  const waited =
    since(process.pid, 'waited') + Math.max(0, ...others.map((thread) => since(thread, 'waited')))
  // What the loop has run itself it did not wait for, whatever others did meanwhile.
  const own = Math.max(Math.min(gap, since(process.pid, 'ran')), gap - waited)
  before = now
  return own
}

function look() {
  const gap = performance.now() - at - beat
  longest = Math.max(longest, gap)
  const own = ownPart(gap)
  longestOwn = Math.max(longestOwn, own)
  longestWait = Math.max(longestWait, gap - own)
  at = performance.now()
}
setInterval(look, beat)

/**
 * The longest gap since {@link forgetGaps}, the longest of those without what the system did not let it, and the most that
 * it did not let one.
 */
export const longestGaps = () => ({ gap: longest, own: longestOwn, wait: longestWait })

/** What this process does to be measured is no gap. */
export function forgetGaps() {
  longest = 0
  longestOwn = 0
  longestWait = 0
  at = performance.now()
  before = times()
}
