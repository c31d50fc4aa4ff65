import type { Arena } from '../../memory/arena'
import type { SendQueue } from '../send-queue'
import { stepBudget } from '../../time/step-budget'

/** What `Writable` passes on to be written, with the encoding of text. */
export interface StreamChunk {
  readonly chunk: Buffer | string
  readonly encoding: BufferEncoding
}

/** Up to here everything that is written together becomes one piece. */
const maxTogether = 64 * 1024

/** Sends one chunk; returns how many bytes it is. */
export function sendChunk(sendQueue: SendQueue, arena: Arena, one: StreamChunk): number {
  const { chunk } = one
  if (typeof chunk === 'string') return sendTogether(sendQueue, arena, [one], byteLength(one))
  if (chunk.length > 0) sendQueue.send(chunk)
  else stepBudget.step(0)
  return chunk.length
}

/** Sends chunks that were written together; returns how many bytes they are. */
export function sendChunks(sendQueue: SendQueue, arena: Arena, chunks: readonly StreamChunk[]): number {
  let length = 0
  for (const one of chunks) length += byteLength(one)
  if (length <= maxTogether) return sendTogether(sendQueue, arena, chunks, length)
  for (const one of chunks) sendChunk(sendQueue, arena, one)
  return length
}

/** Copies `chunks`, `length` bytes in all, one behind the other into memory that is sent from. */
function sendTogether(
  sendQueue: SendQueue,
  arena: Arena,
  chunks: readonly StreamChunk[],
  length: number,
): number {
  if (length === 0) {
    stepBudget.step(0)
    return 0
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
  return length
}

/** How many bytes a chunk is. */
export function byteLength({ chunk, encoding }: StreamChunk): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
}
