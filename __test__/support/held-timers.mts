// Holds the timers with which streams look whether anything keeps them. To be imported before the package.

import timers from 'node:timers'

/** Milliseconds that they run for; no other timer of the package does. */
const heldTime = 50

const held: (() => void)[] = []
const { setTimeout } = timers

timers.setTimeout = Object.assign(
  (callback: () => void, milliseconds?: number, ...values: []) => {
    const timer = setTimeout(callback, milliseconds, ...values)
    if (milliseconds === heldTime) {
      clearTimeout(timer)
      held.push(callback)
    }
    return timer
  },
  { __promisify__: setTimeout.__promisify__ },
)

/** Runs those that are due, and says how many were. */
export function runHeldTimers(): number {
  const due = held.splice(0)
  for (const callback of due) callback()
  return due.length
}
