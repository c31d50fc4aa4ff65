import { bufferOf } from '../checks/bytes'
import { Chunk } from './chunk'

const chunkOf = Symbol('netpoll.outgoing')

type OutgoingBuffer = ArrayBufferLike & { [chunkOf]?: OutgoingChunk }

/** The chunk that `view` was allocated in; `undefined` when it is other memory. A property is found without any look-up by object. */
export function outgoingChunkOf(view: Uint8Array): OutgoingChunk | undefined {
  return (bufferOf(view) as OutgoingBuffer)[chunkOf]
}

/** A chunk that outgoing bytes are written to, made known to JavaScript once and used again and again. */
export class OutgoingChunk extends Chunk {
  /** How commands name it. */
  readonly handle: number
  /** A hold on this chunk only, made once: a message that is written makes none. */
  readonly alone: readonly OutgoingChunk[] = [this]
  /** What was allocated and not handed over, and writers that have bytes in it that are not flushed. */
  holds = 0
  /** The period in which it was used last, see {@link Arena.settle}. */
  period = 0
  /** The number of the sweep before which it was used last. */
  sweep = 0
  /** One more than the room before what was allocated at the front, if it was not handed over; else 0. */
  #front = 0
  /** By start: as {@link #front}, of what was allocated further behind. */
  #others: Uint8Array | undefined

  constructor(handle: number, buffer: ArrayBufferLike) {
    super(Buffer.from(buffer))
    this.handle = handle
    ;(buffer as OutgoingBuffer)[chunkOf] = this
  }

  /** Whether its memory is there: user code may transfer that of what it has allocated. */
  get isThere(): boolean {
    return this.bytes.length > 0
  }

  /** Notes that what begins `room` bytes behind `at` was allocated. */
  allocated(at: number, room: number): void {
    if (at === 0) {
      this.#front = room + 1
    } else {
      this.#others ??= new Uint8Array(this.bytes.length)
      this.#others[at + room] = room + 1
    }
  }

  /** Whether something that was allocated begins at `start`, and is not handed over. */
  isAllocated(start: number): boolean {
    return start === this.#front - 1 || (this.#others?.[start] ?? 0) > 0
  }

  /**
   * Whether something that was allocated begins at `start`, is not handed over yet, and has room for `before` bytes. If so
   * it counts as handed over from now on.
   */
  handOver(start: number, before: number): boolean {
    if (this.#front > before && start === this.#front - 1) {
      this.#front = 0
      return true
    }
    const others = this.#others
    if (others === undefined || (others[start] as number) <= before) return false
    others[start] = 0
    return true
  }
}
