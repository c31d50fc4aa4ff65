import { channel } from 'node:diagnostics_channel'
import { appendFileSync } from 'node:fs'
import { threadId } from 'node:worker_threads'

import { ownersHead } from '../leaks/origin'
import { leakSettings } from '../leaks/settings'
import { leaks, maxWatched, type WatchList } from '../leaks/watch-list'
import type { Fault, LeakKind, Watched } from '../leaks/watched'
import { setUnwatchedTimeout } from '../time/timers'
import { known } from './inspection'
import { logLine } from './settings'

/** How often something is looked at before it is as old as it may get. */
const looksPerAge = 4

/** Places that are told apart; leaks of further ones are told together. */
const maxPlaces = 1_000

/** What `netpoll.leak` tells its subscribers. */
export interface Leak {
  readonly kind: LeakKind
  /** What it does, as the end of a sentence. */
  readonly what: string
  /** Milliseconds for which it has done so, at least. */
  readonly age: number
  /** The frames of the code that has made it. */
  readonly stack: string
  /** What else is known of it. */
  readonly lines: readonly string[]
  /** Leaks of the same place so far, with this one. */
  readonly count: number
}

/** Leaks are published here. */
const found = channel('netpoll.leak')

/**
 * Looks at what the list has, again and again, and reports what has been at fault for too long.
 *
 * Age is counted in looks, and not by a clock: a process that gets no time grows no older. A stop of the whole process is one
 * look. Where garbage would look the same, everything is collected right before the look that counts.
 */
export class LeakDetector {
  readonly #list: WatchList
  readonly #age: number
  readonly #interval: number
  readonly #collect: () => void
  readonly #report: (leak: Leak) => void
  readonly #counts = new Map<string, number>()
  #looks = 0
  #isArmed = false
  #isCollectionDue = false
  /** The look before which everything was collected last. */
  #collected = 0
  /** Whether it was told that something is not watched. */
  #hasToldMissed = false

  /** `collect` collects all garbage. */
  constructor(list: WatchList, age: number, collect: () => void, report: (leak: Leak) => void) {
    this.#list = list
    this.#age = age
    this.#interval = Math.ceil(age / looksPerAge)
    this.#collect = collect
    this.#report = report
  }

  /** Begins. */
  start(): void {
    this.#list.whenWatching(() => this.#arm())
  }

  /** While nothing is watched there is no timer, and it never keeps the process alive. */
  #arm(): void {
    if (this.#isArmed) return
    this.#isArmed = true
    setUnwatchedTimeout(this.#look, this.#interval).unref()
  }

  readonly #look = (): void => {
    this.#isArmed = false
    this.#looks += 1
    // What a look has asked for lives until its task is over: so nothing may be asked before this.
    if (this.#isCollectionDue) {
      this.#collect()
      this.#collected = this.#looks
      this.#isCollectionDue = false
    }
    this.#list.lookAtAll((watched, look) => {
      if (look === 'fine') watched.what = undefined
      else this.#suspect(watched, look)
    })
    this.#tellMissed()
    if (this.#list.size > 0) this.#arm()
  }

  /** A list that is full makes the detector blind: its user is told so, once. */
  #tellMissed(): void {
    const { missed } = this.#list
    if (missed === undefined || this.#hasToldMissed) return
    this.#hasToldMissed = true
    const { kind, stack } = missed
    const what = `may leak and not be told, as ${maxWatched} others are watched`
    this.#report({ kind, what, age: 0, stack, lines: [], count: 1 })
  }

  #suspect(watched: Watched, fault: Fault): void {
    if (watched.what !== fault.what) {
      watched.what = fault.what
      watched.since = this.#looks
      watched.oldSince = Number.POSITIVE_INFINITY
      watched.isReported = false
    }
    if (watched.isReported) return
    const age = (this.#looks - watched.since) * this.#interval
    if (age < this.#age + (fault.allowance ?? 0)) return
    if (fault.certainty === 'unlessGarbage' && !this.#isNoGarbage(watched)) return
    watched.isReported = true
    this.#tell(watched, fault, age)
  }

  /** Whether it is there after a collection, and after the turns in which the core learns of that. */
  #isNoGarbage(watched: Watched): boolean {
    watched.oldSince = Math.min(watched.oldSince, this.#looks)
    if (this.#collected > watched.oldSince) return this.#looks > this.#collected
    this.#isCollectionDue = true
    return false
  }

  #tell({ kind, stack: own }: Watched, { what, account }: Fault, age: number): void {
    const { stack, lines } = account?.() ?? { stack: own, lines: [] }
    const place = `${kind} ${what}\n${stack}`
    const key = this.#counts.has(place) || this.#counts.size < maxPlaces ? place : `${kind} ${what}`
    const count = (this.#counts.get(key) ?? 0) + 1
    this.#counts.set(key, count)
    this.#report({ kind, what, age, stack, lines, count })
  }
}

/** The text of a leak, whose stack comes last. */
export function textOf({ kind, what, age, stack, lines, count }: Leak): string {
  const head = `LEAK: a ${kind} ${what}${age > 0 ? `, for ${age / 1_000} s or more` : ''}`
  const times = count > 1 ? ` (${count} of this place so far)` : ''
  const says = lines.length > 0 || stack === '' || stack.startsWith(ownersHead)
  return [`${head}${times}`, ...lines, ...(says ? [] : ['  It was made here:']), stack]
    .filter(Boolean)
    .join('\n')
}

/** Of many leaks of one place, the first is printed, the second, the fourth and so on. */
function isPrinted({ count }: Leak): boolean {
  return (count & (count - 1)) === 0
}

function publish(leak: Leak): void {
  if (isPrinted(leak)) logLine(textOf(leak).replace(/\n */g, ' | '), () => textOf(leak))
  // A subscriber that throws is an uncaught exception, which it would be anywhere.
  found.publish(leak)
  const { file } = leakSettings ?? {}
  if (file === undefined) return
  const line = JSON.stringify({ ...leak, pid: process.pid, thread: threadId, program: process.argv[1] })
  // A file that cannot be written to costs the report there.
  known(() => appendFileSync(file, `${line}\n`))
}

/** Looks for leaks of this thread from now on, where that is asked for. `fullCollection` makes what collects all garbage. */
export function detectLeaks(fullCollection: () => () => void): void {
  if (leaks === undefined || leakSettings === undefined) return
  new LeakDetector(leaks, leakSettings.age, fullCollection(), publish).start()
}
