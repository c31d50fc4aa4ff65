import { bufferOf, isUint8Array, lengthOf, mayChangeByItself, offsetOf } from '../checks/bytes'
import { chunkHandle } from '../memory/chunk'
import { isFramed } from '../framing/framed-in-place'
import { outgoingChunkOf } from '../memory/outgoing-chunk'
import type { FramingRules } from '../framing/rules'
import { copyLimit, foreign, type Written } from '../link-buffer/pieces'
import {
  checkedLength,
  copyPiece,
  handleOf,
  hasRoomFor,
  type Part,
  type Piece,
  pieceLength,
  takePieces,
} from './message-list'
import { Operation } from '../native/protocol-numbers'
import { notPayload, type Payload } from '../memory/payload'
import type { ThreadMemory } from '../memory/thread-memory'

/** The part of a poller that has commands carried out. */
export interface CommandExecutor {
  /** Carries out what is written, in the middle of a task. */
  carryOut(): void
}

/** A poller in this thread, which may be given the user's memory for as long as no JavaScript runs. */
export interface DirectSender {
  /**
   * Carries out what is written, and sends `bytes` at once behind that, as far as the system takes them; returns how many
   * it took.
   */
  sendAtOnce(slot: number, generation: number, bytes: Uint8Array): number
}

/** The connection that a command is for. */
export interface CommandTarget {
  readonly slot: number
  readonly generation: number
}

/** Where bytes that are sent by reference are now: `referred` ones wait, in the memory of the writer, who gets it back later. */
export type Whereabouts = 'copied' | 'referred' | 'sent'

/** Up to here Node.js makes several buffers in one piece of memory. */
const maxPooled = 4 * 1024

/** Up to here a message that is copied is one piece, and what is left of a chunk is left. */
const maxWhole = 16 * 1024

/** From here on the system is asked to take a message from where it lies: that is a call, and a write for it alone. */
const minAtOnce = 64 * 1024

/** The least of a message that is copied into what is left of a chunk. */
const minPart = 4 * 1024

/** Most bytes of a message that may be copied without being asked whether it lies in a chunk. */
const maxUnasked = 4096
/** After so many messages in no chunk the next ones are not asked. */
const sureAfter = 64
/** How many are not asked then, before the next one is. */
const unaskedAtOnce = 15

const header = 1
const words = 6
const capacity = 4096
/** What a closed command queue has in the place of its commands: full for good, so that no other state says it is closed. */
const closed = Int32Array.of(capacity)

/** Words that the commands take: `[count, commands…]`. */
export const commandWords = header + words * capacity

/**
 * What leaves for the core. A command is six words in shared memory, and no call. The core carries commands out after
 * the turn that they were written in, or before the loop waits.
 */
export class CommandQueue {
  #commands: Int32Array
  readonly #native: CommandExecutor
  readonly #memory: ThreadMemory
  readonly #begun: (() => void) | undefined
  #turn = 0
  /** An array for the pieces of a list, used again; `undefined` while it is in use. */
  #gathered: Piece[] | undefined
  /** How many messages one after the other lay in no chunk, as far as they were asked; no more than {@link sureAfter}. */
  #elsewhere = 0
  /** How many small messages are copied from now on without being asked. */
  #unasked = 0
  readonly #direct: DirectSender | undefined
  /** Whether {@link carryOut} has left nothing, so that the next command is of the same turn. */
  #isCarriedOut = false

  /** `begun` is called when the first command since the core has looked is written, where the core does not look by itself. */
  constructor(
    commands: Int32Array,
    native: CommandExecutor,
    memory: ThreadMemory,
    begun?: () => void,
    direct?: DirectSender,
  ) {
    this.#commands = commands
    this.#native = native
    this.#memory = memory
    this.#begun = begun
    this.#direct = direct
  }

  /** Changes once the event loop has turned since commands were written: then the core has told of congestion. */
  get turn(): number {
    return this.#turn
  }

  /**
   * The core looks for commands no more, so none is written: the arena would wait for it, or no longer for those of
   * others.
   */
  close(): void {
    this.#commands = closed
  }

  /** Has what is written carried out, in the middle of a turn. */
  carryOut(): void {
    this.#native.carryOut()
    this.#isCarriedOut = true
  }

  /** Adds a command without bytes; `value` is a count or a time, for those that have one. */
  command(operation: Operation, target: CommandTarget, value = 0): void {
    this.#push(operation, target, 0, 0, value)
  }

  /** Adds a piece of a message that is framed where it lies; the last one has another operation than those before. */
  piece(operation: Operation, target: CommandTarget, handle: number, start: number, length: number): void {
    this.#push(operation, target, handle, start, length)
  }

  /**
   * Adds a reply that is framed where it lies. Where the connection's last reply ends right before it, that becomes longer.
   * So many become two commands: that reply, and a count of the others.
   */
  reply(target: CommandTarget, handle: number, start: number, length: number): void {
    const commands = this.#commands
    const count = commands[0] as number
    const last = header + (count - 1) * words
    const isCounted = count > 1 && commands[last] === Operation.Acknowledge && isFor(commands, last, target)
    const before = isCounted ? last - words : last
    if (count > 0 && isFollowedBy(commands, before, target, handle, start)) {
      commands[before + 5] = (commands[before + 5] as number) + length
      if (isCounted) commands[last + 5] = Math.max(commands[last + 5] as number, 1) + 1
      else this.command(Operation.Acknowledge, target, 1)
    } else {
      this.#push(Operation.Reply, target, handle, start, length)
    }
  }

  /** Has a time told, in milliseconds on the poller's clock; `number` comes back with the record. */
  setTimer(target: CommandTarget, number: number, time: number): void {
    this.#push(Operation.DeadlineTimer, target, number, Math.floor(time / 2 ** 32), time % 2 ** 32)
  }

  /** The user's code is not busy with it, and was until `time`, in milliseconds on the poller's clock. */
  confirmIdle(target: CommandTarget, time: number): void {
    this.#push(Operation.ConfirmIdle, target, 0, Math.floor(time / 2 ** 32), time % 2 ** 32)
  }

  /**
   * Adds a whole message, framed. `last` is the operation of its last piece.
   *
   * @returns how many bytes will be sent
   * @throws NetpollError `ERR_FRAME_TOO_LARGE` when its length cannot be said, or a piece cannot be copied; `ENOMEM`
   * when there is no memory for it. TypeError `ERR_INVALID_ARG_TYPE` when it is no payload. What a list throws that is
   * asked for its pieces. All of them before anything is added.
   */
  message(last: Operation, target: CommandTarget, framing: FramingRules, payload: Payload): number {
    if (typeof payload === 'string') return this.#string(last, target, framing, payload)
    if (isUint8Array(payload)) return this.#bytes(last, target, framing, payload)
    if (Array.isArray(payload)) return this.#pieces(last, target, framing, payload)
    throw notPayload(payload)
  }

  /**
   * Adds bytes of a stream, which are sent from where they lie, as far as that is possible. Those that wait there are not the
   * user's again before nothing waits to be sent.
   *
   * @throws NetpollError `ERR_FRAME_TOO_LARGE`, `ENOMEM`, before anything is added
   */
  byReference(target: CommandTarget, framing: FramingRules, bytes: Uint8Array): Whereabouts {
    if (this.#direct === undefined || !isOfUser(bytes)) {
      this.message(Operation.Send, target, framing, bytes)
      return 'copied'
    }
    const sent = this.#sendAtOnce(target, bytes)
    const length = lengthOf(bytes) - sent
    if (length === 0) return 'sent'
    const handle = this.#memory.native.attachForeign(bytes)
    this.#push(Operation.SendForeign, target, handle, sent, length)
    return 'referred'
  }

  /**
   * Adds what a writer has collected, as one message.
   *
   * @throws NetpollError `ERR_FRAME_TOO_LARGE`, `ENOMEM`, before anything is added
   */
  written(target: CommandTarget, framing: FramingRules, { first, length }: Written): number {
    const before = framing.headerLength(length)
    const trailer = framing.trailer
    const at = this.#takeEnvelope(framing, before, length)
    const envelope = this.#memory.arena.handle
    try {
      if (before > 0) this.#push(Operation.Send, target, envelope, at, before)
      for (let piece = first; piece !== undefined; piece = piece.next) {
        if (piece.handle !== foreign) {
          this.#push(Operation.Send, target, piece.handle, piece.start, piece.length)
        } else {
          const handle = this.#memory.native.attachForeign(piece.memory)
          this.#push(Operation.SendForeign, target, handle, piece.start, piece.length)
        }
      }
      if (trailer.length > 0) this.#push(Operation.Send, target, envelope, at + before, trailer.length)
    } catch (error) {
      this.#abandon(target, error)
    }
    return before + length + trailer.length
  }

  #bytes(last: Operation, target: CommandTarget, framing: FramingRules, bytes: Uint8Array): number {
    const length = lengthOf(bytes)
    const before = framing.headerLength(length)
    const trailer = framing.trailer
    const total = before + length + trailer.length
    const { arena } = this.#memory
    // What is taken for the trailer must not begin another arena.
    if ((trailer.length === 0 || arena.hasRoom(trailer.length)) && arena.handOver(bytes, before)) {
      const start = offsetOf(bytes) - before
      framing.writeHeader(arena.memory, start, length)
      this.#lastPiece(last, target, trailer, arena.handle, start, before + length)
      return total
    }
    const handle = this.#chunkOf(bytes, length)
    if (handle !== undefined) {
      const offset = offsetOf(bytes)
      const start = offset - before
      // An echo stands in its chunk framed already: it leaves as it came, in one piece.
      if (start >= 0 && isFramed(framing, this.#memory.chunks[handle]?.bytes, offset, length, before)) {
        this.#push(last, target, handle, start, total)
        return total
      }
      const at = this.#takeEnvelope(framing, before, length)
      const envelope = arena.handle
      if (before > 0) this.#push(Operation.Send, target, envelope, at, before)
      const ends = trailer.length === 0
      this.#push(ends ? last : Operation.Send, target, handle, offset, length)
      if (!ends) this.#push(last, target, envelope, at + before, trailer.length)
      return total
    }
    if (length > maxPooled) arena.garbage.add(length)
    if (this.#isLarge(length, total)) return this.#large(last, target, framing, bytes, before)
    const at = arena.take(total)
    framing.writeHeader(arena.memory, at, length)
    arena.memory.set(bytes, at + before)
    this.#end(last, target, trailer, at, total)
    return total
  }

  /**
   * The handle of the chunk that a message of so many bytes is sent from; `undefined` where it is copied. Asking a view for
   * its memory is a call into the engine, which costs as much as copying a small message. So while messages lie in no
   * chunk, most small ones are not asked.
   */
  #chunkOf(bytes: Uint8Array, length: number): number | undefined {
    if (length <= copyLimit) return undefined
    if (this.#unasked > 0 && length <= maxUnasked) {
      this.#unasked -= 1
      return undefined
    }
    const handle = chunkHandle(bytes)
    if (handle !== undefined) this.#elsewhere = 0
    else if (this.#elsewhere < sureAfter) this.#elsewhere += 1
    else this.#unasked = unaskedAtOnce
    return handle
  }

  /**
   * A message that is more than one piece, or that the system may take from where it lies, at once. What it does not take is
   * copied: its memory is the user's again once this returns. There is memory for all of it before anything is added.
   */
  #large(
    last: Operation,
    target: CommandTarget,
    framing: FramingRules,
    bytes: Uint8Array,
    before: number,
  ): number {
    const length = lengthOf(bytes)
    const { trailer } = framing
    const at = this.#takeEnvelope(framing, before, length)
    const envelope = this.#memory.arena.handle
    const parts = this.#memory.arena.takeInParts(length, minPart)
    if (before > 0) this.#push(Operation.Send, target, envelope, at, before)
    const sent = length >= minAtOnce ? this.#sendAtOnce(target, bytes) : 0
    const ends = trailer.length === 0
    if (sent < length) this.#copyRest(ends ? last : Operation.Send, target, bytes, sent, parts)
    else if (ends && last === Operation.Reply) this.command(Operation.Acknowledge, target)
    if (!ends) this.#push(last, target, envelope, at + before, trailer.length)
    return before + length + trailer.length
  }

  /** Whether a message that is copied is not simply one piece. */
  #isLarge(length: number, total: number): boolean {
    if (length < minAtOnce) return length > maxWhole && !this.#memory.arena.hasRoom(total)
    return this.#direct !== undefined || !this.#memory.arena.hasRoom(total)
  }

  #sendAtOnce({ slot, generation }: CommandTarget, bytes: Uint8Array): number {
    if (this.#direct === undefined) return 0
    const sent = this.#direct.sendAtOnce(slot, generation, bytes)
    this.#isCarriedOut = true
    return sent
  }

  /** Adds what follows `sent` bytes, copied to the places that are left for it. */
  #copyRest(
    last: Operation,
    target: CommandTarget,
    bytes: Uint8Array,
    sent: number,
    parts: readonly Part[],
  ): void {
    const end = offsetOf(bytes) + lengthOf(bytes)
    let at = end - lengthOf(bytes)
    const from = at + sent
    for (const part of parts) {
      const skipped = Math.min(part.length, Math.max(0, from - at))
      const length = part.length - skipped
      at += part.length
      if (length === 0) continue
      const start = part.start + skipped
      part.memory.set(new Uint8Array(bufferOf(bytes), at - length, length), start)
      this.#push(at === end ? last : Operation.Send, target, part.handle, start, length)
    }
  }

  #string(last: Operation, target: CommandTarget, framing: FramingRules, text: string): number {
    const length = Buffer.byteLength(text)
    const before = framing.headerLength(length)
    const trailer = framing.trailer
    const total = before + length + trailer.length
    const at = this.#memory.arena.take(total)
    framing.writeHeader(this.#memory.arena.memory, at, length)
    this.#memory.arena.memory.write(text, at + before)
    this.#end(last, target, trailer, at, total)
    return total
  }

  #pieces(
    last: Operation,
    target: CommandTarget,
    framing: FramingRules,
    payload: readonly unknown[],
  ): number {
    const pieces = this.#gather(payload)
    // From here on nothing of the user's runs that could change them.
    let length = 0
    for (const piece of pieces) length += checkedLength(piece)
    const before = framing.headerLength(length)
    const trailer = framing.trailer
    const total = before + length + trailer.length
    try {
      if (hasRoomFor(this.#memory.arena, pieces, total)) {
        this.#header(target, framing, before, length)
        for (const piece of pieces) this.#piece(target, piece)
        // The message's end as a piece of its own, so that whatever it consists of is added the same way.
        this.#copy(last, target, trailer)
      } else {
        this.#taken(last, target, takePieces(this.#memory.arena, pieces, framing, before, length))
        for (const piece of pieces) if (typeof piece !== 'string') this.#memory.arena.handOver(piece, 0)
      }
      return total
    } finally {
      pieces.length = 0
      this.#gathered = pieces
    }
  }

  #taken(last: Operation, target: CommandTarget, parts: readonly Part[]): void {
    const end = parts.length - 1
    for (let index = 0; index <= end; index += 1) {
      const { handle, start, length } = parts[index] as Part
      this.#push(index === end ? last : Operation.Send, target, handle, start, length)
    }
  }

  /** The pieces of a list, each asked for once: a list may be a proxy, or have members that run code. */
  #gather(payload: readonly unknown[]): Piece[] {
    // Such code may send a list as well: then that takes another array.
    const pieces = this.#gathered ?? []
    this.#gathered = undefined
    const { length } = payload
    for (let index = 0; index < length; index += 1) {
      const piece = payload[index]
      if (typeof piece !== 'string' && !isUint8Array(piece)) throw notPayload(piece)
      pieces.push(piece)
    }
    return pieces
  }

  /** A message has broken off, whose beginning must not be followed by another one. */
  #abandon(target: CommandTarget, error: unknown): never {
    this.command(Operation.Destroy, target)
    throw error
  }

  #piece(target: CommandTarget, piece: Piece): void {
    if (typeof piece !== 'string') {
      const { arena } = this.#memory
      const handle = arena.handOver(piece, 0) ? arena.handle : handleOf(piece)
      if (handle !== undefined) {
        this.#push(Operation.Send, target, handle, offsetOf(piece), lengthOf(piece))
        return
      }
    }
    this.#copy(Operation.Send, target, piece)
  }

  #header(target: CommandTarget, framing: FramingRules, before: number, length: number): void {
    if (before === 0) return
    const at = this.#memory.arena.take(before)
    framing.writeHeader(this.#memory.arena.memory, at, length)
    this.#push(Operation.Send, target, this.#memory.arena.handle, at, before)
  }

  #copy(operation: Operation, target: CommandTarget, piece: Piece): void {
    const length = pieceLength(piece)
    const at = copyPiece(this.#memory.arena, piece, length)
    this.#push(operation, target, this.#memory.arena.handle, at, length)
  }

  /** Takes room for header and trailer of a message, which lies elsewhere, and fills it; returns where. */
  #takeEnvelope(framing: FramingRules, before: number, length: number): number {
    const { arena } = this.#memory
    const { trailer } = framing
    const at = arena.take(before + trailer.length)
    if (before > 0) framing.writeHeader(arena.memory, at, length)
    if (trailer.length > 0) arena.memory.set(trailer, at + before)
    return at
  }

  /** Completes a message whose last bytes are sent from where they lie. */
  #lastPiece(
    last: Operation,
    target: CommandTarget,
    trailer: Uint8Array,
    handle: number,
    start: number,
    length: number,
  ): void {
    const ends = trailer.length === 0
    this.#push(ends ? last : Operation.Send, target, handle, start, length)
    if (!ends) this.#copy(last, target, trailer)
  }

  /** Completes a message of `total` bytes that begins at `at`. */
  #end(last: Operation, target: CommandTarget, trailer: Uint8Array, at: number, total: number): void {
    if (trailer.length > 0) this.#memory.arena.memory.set(trailer, at + total - trailer.length)
    this.#push(last, target, this.#memory.arena.handle, at, total)
  }

  #push(operation: Operation, target: CommandTarget, handle: number, start: number, length: number): void {
    const commands = this.#commands
    let count = commands[0] as number
    if (count === capacity) {
      if (commands !== closed) this.carryOut()
      // The poller may have failed just then.
      if (this.#commands === closed) {
        this.#drop(operation, handle)
        return
      }
      count = 0
    }
    if (count === 0) this.#beginCommands()
    const at = header + count * words
    commands[at] = operation
    commands[at + 1] = target.slot
    commands[at + 2] = target.generation
    commands[at + 3] = handle
    commands[at + 4] = start
    commands[at + 5] = length
    commands[0] = count + 1
  }

  /** A buffer of the user is held for the command that would have named it. */
  #drop(operation: Operation, handle: number): void {
    if (operation === Operation.SendForeign) this.#memory.native.releaseForeign(handle)
  }

  #beginCommands(): void {
    if (!this.#isCarriedOut) this.#turn += 1
    this.#isCarriedOut = false
    this.#memory.arena.commanded()
    this.#begun?.()
  }
}

/** Whether bytes lie in memory that only the user writes to. What was allocated in the arena is handed over to it, or copied. */
function isOfUser(bytes: Uint8Array): boolean {
  if (chunkHandle(bytes) !== undefined || outgoingChunkOf(bytes) !== undefined) return false
  return !mayChangeByItself(bytes)
}

/** Whether the command at `at` is for this connection. */
function isFor(commands: Int32Array, at: number, { slot, generation }: CommandTarget): boolean {
  return commands[at + 1] === (slot | 0) && commands[at + 2] === (generation | 0)
}

/** Whether the command at `at` is a reply on this connection, which ends where `start` is in its chunk. */
function isFollowedBy(
  commands: Int32Array,
  at: number,
  target: CommandTarget,
  handle: number,
  start: number,
): boolean {
  const end = (commands[at + 4] as number) + (commands[at + 5] as number)
  return (
    commands[at] === Operation.Reply &&
    isFor(commands, at, target) &&
    commands[at + 3] === handle &&
    end === start
  )
}
