// Holds the timers with which streams look whether anything keeps them, and those of limits that never pass by themselves. To
// be imported before the package.

import timers from 'node:timers'

/** Milliseconds that they run for; no other timer of the package does. */
const heldTime = 50

/** A limit whose timer is held. Its timer may run for a little less. */
export const heldLimit = 1_000_000_000
const isHeld = (time: number): boolean => time === heldTime || time > heldLimit / 2

const held: (() => void)[] = []
const { setTimeout } = timers

timers.setTimeout = Object.assign(
  (callback: () => void, milliseconds?: number, ...values: []) => {
    const timer = setTimeout(callback, milliseconds, ...values)
    if (isHeld(milliseconds ?? 0)) {
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
