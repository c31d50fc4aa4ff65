import { bufferOf } from '../checks/bytes'
import type { BytesOption } from './message-types'
import { receivedMemory } from './received-memory'

/**
 * Chunks of native memory, as `ArrayBuffer`s. Each carries the handle by which commands name it, so that its bytes are sent
 * from there. A property is found without any look-up by object.
 */
const handleOf = Symbol('netpoll.chunk')

type ChunkBuffer = ArrayBufferLike & { [handleOf]?: number }

/**
 * A chunk that messages are cut from. Its `ArrayBuffer` and offset are kept beside the view, because asking a view for
 * them is a call into the engine, for every message.
 */
export class Chunk {
  /** All of it; empty once user code has transferred the memory away. */
  readonly bytes: Buffer
  readonly buffer: ArrayBufferLike
  readonly offset: number

  constructor(bytes: Buffer) {
    this.bytes = bytes
    this.buffer = bytes.buffer
    this.offset = bytes.byteOffset
  }
}

/** A chunk as it is kept. */
export function adoptChunk(handle: number, buffer: ArrayBuffer): Chunk {
  ;(buffer as ChunkBuffer)[handleOf] = handle
  return new Chunk(Buffer.from(buffer))
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
export function messageView(chunk: Chunk, start: number, length: number): Buffer {
  return new FastBuffer(chunk.buffer, chunk.offset + start, length)
}

/** As {@link messageView}, of memory that is no chunk, or of less of it. */
export const bufferView: typeof viewOf =
  receivedMemory === undefined ? viewOf : receivedMemory.watchingTaken(viewOf)

function viewOf(chunk: Buffer, start: number, length: number): Buffer {
  return new FastBuffer(chunk.buffer, chunk.byteOffset + start, length)
}

/** A message as the option `bytes` says: a `Buffer`, or a plain `Uint8Array`, which is cheaper. */
export const messageAs: typeof viewAs =
  receivedMemory === undefined ? viewAs : receivedMemory.watchingHanded(viewAs)

function viewAs(bytes: BytesOption, chunk: Chunk, start: number, length: number): Buffer {
  if (bytes === 'buffer') return messageView(chunk, start, length)
  return new Uint8Array(chunk.buffer, chunk.offset + start, length) as Buffer
}

/** The handle of the chunk that `view` lies in; `undefined` when it is the user's own memory. */
export function chunkHandle(view: Uint8Array): number | undefined {
  return (bufferOf(view) as ChunkBuffer)[handleOf]
}
