import * as clock from '../time/clock'
import { NetpollError } from '../errors'
import { Poller, type Placement } from './poller'
import { isBun } from '../native/runtime'
import { leaks } from '../leaks/watch-list'
import { threadMemory } from '../memory/thread-memory'
import { setTimeout } from '../time/timers'

/** Milliseconds after which the pollers of a thread end that have nothing open. */
const idleTime = 1_000

/**
 * The pollers of this thread. The first lies in the event loop of Node.js itself. The others are threads of their
 * own, made when a server or dialer asks for so many, and kept: without sockets they sleep. One that has failed is
 * replaced.
 *
 * All end when nothing has been open for a while, and are made again when they are asked for. Until then each would
 * keep its descriptors, and all modules of the package, which test runners load again and again.
 */
let inline: Poller | undefined
const threads: Poller[] = []

/** Whether the host lets the core poll in its own event loop; `undefined` until it was tried. */
let hasInline: boolean | undefined

/** The poller for a caller that asks for none in particular. */
export function defaultPoller(): Poller {
  if (inline !== undefined && !inline.isOver) return inline
  // Not even asking is safe on Bun.
  hasInline ??= !isBun
  if (!hasInline) return threadPoller(0)
  try {
    inline = open('inline')
    return inline
  } catch (error) {
    // What the system lacks now it may have at the next call.
    if (!(error instanceof NetpollError) || error.code !== 'ERR_UNSUPPORTED') throw error
    hasInline = false
    return threadPoller(0)
  }
}

/** `pollers` of them on threads of their own; with 0, the one that lies in the event loop of the host. */
export function pollersFor(pollers: number): readonly Poller[] {
  if (pollers === 0) return [defaultPoller()]
  return Array.from({ length: pollers }, (_, index) => threadPoller(index))
}

/** All that were made, and are not over. */
export function livePollers(): readonly Poller[] {
  return (inline === undefined ? threads : [inline, ...threads]).filter((poller) => !poller.isOver)
}

leaks?.askLoops(() => livePollers().length === 0)

function threadPoller(index: number): Poller {
  const known = threads[index]
  if (known !== undefined && !known.isOver) return known
  const poller = open('thread')
  threads[index] = poller
  return poller
}

function open(placement: Placement): Poller {
  const memory = threadMemory()
  memory.resume()
  // Also where this throws, or nothing comes of it.
  watchIdleness()
  return new Poller(placement, memory, watchIdleness)
}

/** When the last of them became idle. */
let idleSince = 0
/** Whether a timer runs. */
let isWatched = false

/** One of them has nothing open. Programs that connect and close all the time have one timer a second. */
function watchIdleness(): void {
  idleSince = clock.now()
  if (!isWatched) lookAfter(idleTime)
}

function lookAfter(milliseconds: number): void {
  isWatched = true
  setTimeout(look, milliseconds).unref()
}

function look(): void {
  isWatched = false
  const pollers = livePollers()
  // The last that becomes idle has it looked at again.
  if (!pollers.every((poller) => poller.isIdle)) return
  const left = Math.ceil(idleSince + idleTime - clock.now())
  if (left > 0) lookAfter(left)
  else if (!endAll(pollers)) lookAfter(idleTime)
}

/** False where one of them, or their memory, cannot end now. */
function endAll(pollers: readonly Poller[]): boolean {
  const areOver = pollers.map((poller) => poller.end()).every((isOver) => isOver)
  return areOver && threadMemory().suspend()
}
