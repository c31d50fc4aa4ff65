import { ownOriginOf } from '../leaks/origin'
import type { WatchList } from '../leaks/watch-list'
import type { Look, Watched } from '../leaks/watched'

/** As far as timers are replaced. */
export interface TimerFunctions {
  readonly setTimeout: (callback: () => void, milliseconds?: number) => NodeJS.Timeout
  readonly clearTimeout: (timer: Cleared) => void
  readonly setInterval: (callback: () => void, milliseconds?: number) => NodeJS.Timeout
  readonly clearInterval: (timer: Cleared) => void
}

type Cleared = string | number | NodeJS.Timeout | undefined

/** Functions that do the same, and by which `list` learns of every timer. */
export function watchedTimers(list: WatchList, plain: TimerFunctions): TimerFunctions {
  const timers = new WeakMap<object, Watched>()
  const watch = (timer: NodeJS.Timeout): Watched => {
    const watched = list.watch<object>('timer', timer, () => lookAt(list), ownOriginOf())
    timers.set(timer, watched)
    return watched
  }
  const clear = (timer: Cleared): void => {
    if (typeof timer === 'object') list.remove(timers.get(timer))
    plain.clearTimeout(timer)
  }
  const start = (callback: () => void, milliseconds?: number): NodeJS.Timeout => {
    let watched: Watched | undefined
    const timer = plain.setTimeout(() => {
      list.remove(watched)
      callback()
    }, milliseconds)
    watched = watch(timer)
    return timer
  }
  const repeat = (callback: () => void, milliseconds?: number): NodeJS.Timeout => {
    const timer = plain.setInterval(callback, milliseconds)
    watch(timer)
    return timer
  }
  return {
    setTimeout: start,
    clearTimeout: clear,
    setInterval: repeat,
    clearInterval: clear,
  }
}

/** What the host's timers do when their time has come is not watched, but whether any outlives what it was made for. */
function lookAt(list: WatchList): Look {
  return list.isIdle ? { what: 'is armed although nothing is open', certainty: 'certain' } : 'fine'
}
