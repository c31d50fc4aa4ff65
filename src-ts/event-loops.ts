import { NetpollError } from './errors'
import { EventLoop } from './event-loop'
import { sharedMemory } from './shared-memory'

/**
 * The event loops of this thread. The first lies in the event loop of Node.js itself; the others are threads of their own,
 * made when somebody asks for so many, and kept: without sockets they sleep. One that has failed is replaced.
 */
let inline: EventLoop | undefined
const threads: EventLoop[] = []

/** Whether the host lets the core poll in its own event loop; `undefined` until it was tried. */
let hasInline: boolean | undefined

/** The loop for whoever asks for none in particular. */
export function eventLoop(): EventLoop {
  if (inline !== undefined && !inline.hasFailed) return inline
  // Bun aborts the process at the first function of libuv that it lacks: not even asking is safe.
  hasInline ??= process.versions['bun'] === undefined
  if (!hasInline) return threadLoop(0)
  const memory = sharedMemory()
  try {
    inline = new EventLoop('inline', memory)
    return inline
  } catch (error) {
    // What the system lacks now it may have at the next call.
    if (!(error instanceof NetpollError) || error.code !== 'ERR_UNSUPPORTED') throw error
    hasInline = false
    return threadLoop(0)
  }
}

/** `pollers` loops on threads of their own; with 0, the one that lies in the event loop of the host. */
export function eventLoops(pollers: number): readonly EventLoop[] {
  if (pollers === 0) return [eventLoop()]
  return Array.from({ length: pollers }, (_, index) => threadLoop(index))
}

/** All that were made, and have not failed. */
export function openLoops(): readonly EventLoop[] {
  return (inline === undefined ? threads : [inline, ...threads]).filter((loop) => !loop.hasFailed)
}

function threadLoop(index: number): EventLoop {
  const known = threads[index]
  if (known !== undefined && !known.hasFailed) return known
  const loop = new EventLoop('thread', sharedMemory())
  threads[index] = loop
  return loop
}
