import { NetpollError } from '../errors'

/** A piece of a chunk: bytes `start..end` of `chunk`, which must not change any more. */
export interface Segment {
  chunk: Buffer
  start: number
  end: number
  next: Segment | undefined
}

/** An empty chunk, for a reader that holds on to none. */
export const noChunk = Buffer.alloc(0)

/**
 * @throws NetpollError `ERR_BUFFER_DETACHED` when user code has taken the chunk's memory away, by transferring `.buffer`
 * of some view in it. Reading would give bytes that are no part of the stream
 */
export function checkAttached(chunk: Buffer, end: number): void {
  if (end <= chunk.length) return
  const message = 'Unread bytes lay in an ArrayBuffer that was transferred away'
  throw new NetpollError('ERR_BUFFER_DETACHED', message)
}
