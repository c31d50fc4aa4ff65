import {
  allocate,
  bufferView,
  refusePromise,
  foreign,
  type Hold,
  newWriter,
  type Piece,
  type Written,
  type WriterMemory,
} from '../extension'
import type { Payload, Writer } from '../index'
import type { Codec } from './codec'
import type { CancelMessage, Message } from './message'
import { isThenable } from '../checks/thenables'

/** Turns messages into what connections send. */
export class Encoder<Sent, Received> {
  readonly #codec: Codec<Sent, Received>
  /** `undefined` while a codec writes to it. */
  #free: Writer | undefined
  #written: Written = nothing

  constructor(codec: Codec<Sent, Received>) {
    this.#codec = codec
  }

  /** The bytes of `message`, valid as long as they are held. Throws what the codec throws. */
  encode(message: Message<Sent>, request?: Message<Received>): Payload {
    return this.#collect((writer) => this.#codec.encode(message, writer, request))
  }

  /** The bytes by which clients are asked to leave. */
  encodeGoAway(): Payload {
    return this.#collect((writer) => this.#codec.encodeGoAway?.(writer))
  }

  /** The bytes by which a server learns that a call was given up; none where there is nothing to say. */
  encodeCancel(message: CancelMessage): Payload {
    return this.#collect((writer) => this.#codec.encodeCancel?.(message, writer))
  }

  #collect(write: (writer: Writer) => unknown): Payload {
    // A codec may call, or give up a call, while it writes: that is another message.
    const writer = this.#free ?? this.#newWriter()
    this.#free = undefined
    let pending: unknown
    try {
      pending = write(writer)
    } catch (error) {
      writer.mallocAck(0)
      this.#free = writer
      throw error
    }
    // An asynchronous codec may go on writing, and no other message may get those bytes.
    if (pending !== undefined && isThenable(pending)) refusePromise('codec.encode', pending)
    void writer.flush()
    this.#free = writer
    return toPayload(this.#written)
  }

  #newWriter(): Writer {
    return newWriter(new Slab(), (written) => {
      this.#written = written
      return flushed
    })
  }
}

const flushed = Promise.resolve()
const nothing: Written = { first: undefined, length: 0 }

/** Bytes of memory that is taken at once, for the small messages. */
const slabSize = 64 * 1024

/** Pieces of a slab: memory that no command names. */
const ownMemory = -2

/** Memory of JavaScript, taken piece by piece and collected as any other. */
class Slab implements WriterMemory {
  readonly handle = ownMemory
  memory: Buffer = Buffer.allocUnsafeSlow(0)
  #at = 0

  take(length: number): number {
    if (this.#at + length > this.memory.length) {
      this.memory = allocate(Math.max(length, slabSize))
      this.#at = 0
    }
    const at = this.#at
    this.#at += length
    return at
  }

  hold(previous: Hold | undefined): Hold | undefined {
    return previous
  }

  endHold(): void {}

  /** Those of the writers of connections are never ended, because their bytes may wait for long. */
  joinHolds(one: Hold, other: Hold): Hold {
    return [...one, ...other]
  }
}

function toPayload({ first }: Written): Payload {
  if (first === undefined) return ''
  if (first.next === undefined) return bytesOf(first)
  const pieces: Uint8Array[] = []
  for (let piece: Piece | undefined = first; piece !== undefined; piece = piece.next)
    pieces.push(bytesOf(piece))
  return pieces
}

function bytesOf({ memory, handle, start, length }: Piece): Uint8Array {
  if (handle === ownMemory) return bufferView(memory as Buffer, start, length)
  // The user's memory is counted from its view, chunks are counted from their beginning.
  return handle === foreign
    ? memory.subarray(start, start + length)
    : Buffer.from(memory.buffer, start, length)
}
