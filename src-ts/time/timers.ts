import * as timers from 'node:timers'

import { hostRealm } from '../checks/host-realm'
import { leaks } from '../leaks/watch-list'
import { type TimerFunctions, watchedTimers } from './watched-timers'

/**
 * The host's timers and ticks, taken once, when this is loaded. What a test puts in their place later may never call; and
 * `node:timers` has them where another realm, such as jsdom's, has none or others.
 */

/** A function that a test has replaced knows the clock of the replacement, and the clock what was replaced. */
interface Replacement {
  readonly clock?: { readonly [name: `_${string}`]: unknown }
}

/** `taken`, or what it stands for, where fake timers were installed before: sinon replaces those of `node:timers`, too. */
function genuine<Taken>(name: string, taken: Taken): Taken {
  const replaced = (taken as Replacement).clock?.[`_${name}`]
  return typeof replaced === 'function' ? (replaced as Taken) : taken
}

const plain: TimerFunctions = {
  setTimeout: genuine('setTimeout', timers.setTimeout),
  clearTimeout: genuine('clearTimeout', timers.clearTimeout),
  setInterval: genuine('setInterval', timers.setInterval),
  clearInterval: genuine('clearInterval', timers.clearInterval),
}

export const { setTimeout, clearTimeout, setInterval, clearInterval } =
  leaks === undefined ? plain : watchedTimers(leaks, plain)
/** For the detector of leaks, which does not watch itself. */
export const setUnwatchedTimeout = plain.setTimeout
export const setImmediate = genuine('setImmediate', timers.setImmediate)
export const nextTick = genuine('nextTick', hostRealm.process.nextTick)

const { then } = Promise.prototype
const resolved = Promise.resolve()

/** Does `work`, which must not throw, in a microtask. */
export function microtask(work: () => void): void {
  then.call(resolved, work)
}

/** Does `work`, which must not throw, once the microtasks of this task are done. */
export function afterMicrotasks(work: () => void): void {
  microtask(() => nextTick(work))
}
