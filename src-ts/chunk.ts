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

interface BufferConstructor {
  new (buffer: ArrayBufferLike, start: number, length: number): Buffer
}

/**
 * The class of `Buffer`s, whose constructor takes a view without the checks of `Buffer.from`: what
 * `Buffer` itself says that its methods make.
 */
const FastBuffer = (Buffer as unknown as { [Symbol.species]: BufferConstructor })[Symbol.species]

/** A message as a `Buffer`: a view of its chunk. */
export function bufferView(chunk: Buffer, start: number, length: number): Buffer {
  return new FastBuffer(chunk.buffer, chunk.byteOffset + start, length)
}

/** A message as a plain `Uint8Array`, which is cheaper. */
export function plainView(chunk: Buffer, start: number, length: number): Uint8Array {
  return new Uint8Array(chunk.buffer, chunk.byteOffset + start, length)
}

/** The handle of the chunk that `view` lies in; `undefined` when it is the user's own memory. */
export function chunkHandle(view: Uint8Array): number | undefined {
  return (view.buffer as ChunkBuffer)[handleOf]
}
