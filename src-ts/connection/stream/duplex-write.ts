import type { Arena } from '../../memory/arena'
import type { Whereabouts } from '../../poller/command-queue'
import type { SendQueue } from '../send-queue'
import { stepBudget } from '../../time/step-budget'

/** What `Writable` passes on to be written, with the encoding of text. */
export interface StreamChunk {
  readonly chunk: Buffer | string
  readonly encoding: BufferEncoding
}

/** Sends bytes, which may be copied to the memory of the arena. */
export type SendBytes = (arena: Arena) => Whereabouts

/** Up to here everything that is written together becomes one piece. */
const maxTogether = 64 * 1024

/** From here on a chunk is sent from where it lies. */
const minReferred = 16 * 1024

/** Sends one chunk. */
export function sendChunk(sendQueue: SendQueue, arena: Arena, one: StreamChunk): Whereabouts {
  const { chunk } = one
  if (typeof chunk === 'string') return sendTogether(sendQueue, arena, [one], byteLength(one))
  if (chunk.length >= minReferred) return sendQueue.sendByReference(chunk)
  if (chunk.length > 0) sendQueue.send(chunk)
  else stepBudget.step(0)
  return 'copied'
}

/** Sends chunks that were written together. */
export function sendChunks(sendQueue: SendQueue, arena: Arena, chunks: readonly StreamChunk[]): Whereabouts {
  let length = 0
  for (const one of chunks) length += byteLength(one)
  if (length <= maxTogether && !chunks.some(isReferred)) return sendTogether(sendQueue, arena, chunks, length)
  let whereabouts: Whereabouts = 'copied'
  for (const one of chunks) {
    if (sendChunk(sendQueue, arena, one) === 'referred') whereabouts = 'referred'
  }
  return whereabouts
}

function isReferred({ chunk }: StreamChunk): boolean {
  return typeof chunk !== 'string' && chunk.length >= minReferred
}

/** Copies `chunks`, `length` bytes in all, one behind the other into memory that is sent from. */
function sendTogether(
  sendQueue: SendQueue,
  arena: Arena,
  chunks: readonly StreamChunk[],
  length: number,
): Whereabouts {
  if (length === 0) {
    stepBudget.step(0)
    return 'copied'
  }
  const start = arena.take(length)
  const { memory, handle } = arena
  let at = start
  for (const { chunk, encoding } of chunks) {
    if (typeof chunk === 'string') at += memory.write(chunk, at, encoding)
    else {
      memory.set(chunk, at)
      at += chunk.length
    }
  }
  sendQueue.flush({ first: { memory, handle, start, length, next: undefined }, length })
  return 'copied'
}

/** How many bytes a chunk is. */
export function byteLength({ chunk, encoding }: StreamChunk): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
}
