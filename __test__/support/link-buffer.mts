import { threadMemory } from '../../dist/memory/thread-memory.js'
import type { Reader, Writer } from '../../dist/index.mjs'
import * as readers from '../../dist/link-buffer/reader.js'
import * as writers from '../../dist/link-buffer/writer.js'

/** What a connection does with its reader. */
export type FilledReader = Reader & { push(chunk: Buffer, start: number, length: number): void }

interface Feed {
  push(reader: Reader, chunk: Buffer, start: number, length: number): void
}

/** What users do not get at. */
const { feed, newReader } = readers as unknown as { readonly feed: Feed; readonly newReader: () => Reader }
const { newWriter } = writers as unknown as { readonly newWriter: NewWriter }

interface Piece {
  readonly memory: Uint8Array
  readonly handle: number
  readonly start: number
  readonly length: number
  readonly next: Piece | undefined
}

interface Written {
  readonly first: Piece | undefined
  readonly length: number
}

type NewWriter = (arena: unknown, flush: (written: Written) => Promise<void>) => Writer

/** The handle of memory that is not the core's, whose pieces count from their own start. */
const foreign = -1

/** Views of the memory that a flush would send, in order. */
function* views({ first }: Written): Generator<Uint8Array> {
  for (let piece = first; piece !== undefined; piece = piece.next) {
    const { memory, handle, start, length } = piece
    yield handle === foreign
      ? memory.subarray(start, start + length)
      : new Uint8Array(memory.buffer, start, length)
  }
}

/** One piece of a flush: a copy, and where it lay. */
export interface FlushedPiece {
  readonly bytes: Buffer
  readonly memory: ArrayBufferLike
  readonly start: number
}

/** A reader without a connection. */
export function emptyReader(): FilledReader {
  return Object.assign(newReader(), {
    push(this: Reader, chunk: Buffer, start: number, length: number): void {
      feed.push(this, chunk, start, length)
    },
  })
}

/** A writer without a connection, and what its last flush gave out. */
export class CollectingWriter {
  readonly writer: Writer
  #flushed: FlushedPiece[] = []
  #length = 0

  constructor() {
    this.writer = newWriter(threadMemory().arena, async (written) => {
      // The memory is used again afterwards.
      this.#flushed = Array.from(views(written), (view) => {
        return { bytes: Buffer.copyBytesFrom(view), memory: view.buffer, start: view.byteOffset }
      })
      this.#length = written.length
    })
  }

  async flush(): Promise<{ readonly pieces: readonly FlushedPiece[]; readonly length: number }> {
    await this.writer.flush()
    return { pieces: this.#flushed, length: this.#length }
  }
}

/** A chunk of its own, with a copy of `bytes`. */
export function chunkOf(bytes: Uint8Array): Buffer {
  const chunk = Buffer.from(new ArrayBuffer(bytes.length))
  chunk.set(bytes)
  return chunk
}
