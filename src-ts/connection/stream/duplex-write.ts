import type { Arena } from '../../memory/arena'
import type { Output } from '../send-queue'
import { pace } from '../../time/pace'

/** What `Writable` passes on to be written, with the encoding of text. */
export interface StreamChunk {
  readonly chunk: Buffer | string
  readonly encoding: BufferEncoding
}

/** Up to here everything that is written together becomes one piece. */
const mostTogether = 64 * 1024

/** Sends one chunk; returns how many bytes it is. */
export function sendChunk(output: Output, arena: Arena, one: StreamChunk): number {
  const { chunk } = one
  if (typeof chunk === 'string') return sendTogether(output, arena, [one], byteLength(one))
  if (chunk.length > 0) output.send(chunk)
  else pace.step(0)
  return chunk.length
}

/** Sends chunks that were written together; returns how many bytes they are. */
export function sendChunks(output: Output, arena: Arena, chunks: readonly StreamChunk[]): number {
  let length = 0
  for (const one of chunks) length += byteLength(one)
  if (length <= mostTogether) return sendTogether(output, arena, chunks, length)
  for (const one of chunks) sendChunk(output, arena, one)
  return length
}

/** Copies `chunks`, `length` bytes in all, one behind the other into memory that is sent from. */
function sendTogether(output: Output, arena: Arena, chunks: readonly StreamChunk[], length: number): number {
  if (length === 0) {
    pace.step(0)
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
  output.flush({ first: { memory, handle, start, length, next: undefined }, length })
  return length
}

/** How many bytes a chunk is. */
export function byteLength({ chunk, encoding }: StreamChunk): number {
  return typeof chunk === 'string' ? Buffer.byteLength(chunk, encoding) : chunk.length
}
