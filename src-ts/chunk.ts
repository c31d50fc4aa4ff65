/**
 * Chunks of native memory, as `ArrayBuffer`s. Each carries the handle by which commands name it, so
 * that bytes which lie in one are sent from there: a property is found without any look-up by object.
 */
const handleOf = Symbol('netpoll.chunk')

type ChunkBuffer = ArrayBufferLike & { [handleOf]?: number }

/** A view over a whole chunk, from which the views of messages are cut. */
export function adoptChunk(handle: number, buffer: ArrayBuffer): Buffer {
  ;(buffer as ChunkBuffer)[handleOf] = handle
  return Buffer.from(buffer)
}

/** The handle of the chunk that `view` lies in; `undefined` when it is the user's own memory. */
export function chunkHandle(view: Uint8Array): number | undefined {
  return (view.buffer as ChunkBuffer)[handleOf]
}
