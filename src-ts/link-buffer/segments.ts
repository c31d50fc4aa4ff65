/** A piece of a chunk: bytes `start..end` of `chunk`, which must not change any more. */
export interface Segment {
  chunk: Buffer
  start: number
  end: number
  next: Segment | undefined
}

/** An empty chunk, for a reader that holds on to none. */
export const noChunk = Buffer.alloc(0)
