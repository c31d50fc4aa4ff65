import { checkInteger } from '../checks/arguments'
import { checkOwn, own } from '../checks/own-constructor'
import { bufferOf, isUint8Array, lengthOf, offsetOf } from '../checks/bytes'
import { invalidType } from '../errors'
import type { FramingRules } from '../framing/rules'
import { allocate } from '../memory/allocation'
import type { Hold } from '../memory/arena'
import { bufferView, chunkHandle } from '../memory/chunk'
import type { Payload } from '../memory/payload'
import { Operation } from '../native/protocol-numbers'
import { alreadyReplied, cursorExpired } from './expired'
import { type MessageReader, messageReading } from './message-reader'
import { largestUint, type Piece } from './pieces'
import type { Endian, UintSize } from './reader'
import { noChunk } from './segments'
import type { WriterMemory } from './writer'

/** Outgoing memory, of which a writer takes more than it may need. */
export interface OutgoingMemory extends WriterMemory {
  /** Whether so many bytes fit in behind what was taken last. */
  hasRoom(length: number): boolean
  /** Gives back what was taken last of `memory`, from `at` to `end`, unless more was taken since. */
  giveBack(memory: Buffer, at: number, end: number): void
}

/** What a message is added to, piece by piece. */
export interface PieceSink<Target> {
  piece(operation: Operation, target: Target, handle: number, start: number, length: number): void
  /** A message that is one piece. */
  reply(target: Target, handle: number, start: number, length: number): void
}

/** What makes the handle of a reply that comes later. */
export interface LaterReplies {
  later(): LaterReply
}

/** What only the code that calls a handler does with its writer: users have the writer, and may replace what they see of it. */
interface MessageWriting {
  /** From now on it writes a message. */
  open(writer: MessageWriter, framing: FramingRules, replies: LaterReplies | undefined): void
  /** Whether a message was begun. */
  isBegun(writer: MessageWriter): boolean
  /**
   * Adds the message, framed, to `sink`, and empties the writer.
   *
   * @throws NetpollError `ERR_FRAME_TOO_LARGE`, `ENOMEM`, before anything is added
   */
  send<Target>(writer: MessageWriter, sink: PieceSink<Target>, target: Target): void
  /** The message, copied; empties the writer. */
  take(writer: MessageWriter): Buffer
  /** It expires, and what it has is dropped. */
  close(writer: MessageWriter): void
}

/** @internal */
export let messageWriting: MessageWriting

/** @internal Makes a writer that has expired already. */
export let newMessageWriter: (arena: OutgoingMemory) => MessageWriter

/** What can be done with a writer. */
const Stage = {
  /** Its handler has returned. */
  Expired: 0,
  /** Nothing was written. */
  Blank: 1,
  /** A message was begun. */
  Begun: 2,
  /** The reply comes later. */
  Left: 3,
} as const

type Stage = (typeof Stage)[keyof typeof Stage]

/** As its limit: of a writer that has no memory. Then no length fits, so that what it may do need not be asked for. */
const none = -1

/** The handle of no chunk. */
const noHandle = -1

/** Bytes that are taken for a message whose length is not known; the rest is given back. */
const firstSpan = 2048

/** The most that is taken beyond what is needed. */
const maxSpan = 32 * 1024

/** Up to so many characters, room for the most that a text may take costs less than to find out what it takes. */
const shortText = 4096

/** From here on, received bytes are sent from where they lie. */
const referenceLimit = 4096

/** No message is longer: so much room is left for its header. */
const maxLength = 2 ** 31 - 1

/**
 * The reply of a handler, see {@link CursorHandler}. It is written straight into the memory that it is sent from, and there
 * is one for all messages. What was written when the handler returns is the reply, one message: any write begins it, also
 * one of nothing. A handler that writes nothing sends none. {@link later} is for a reply that is not known yet.
 *
 * The methods are those of {@link Writer}. They throw `ERR_CURSOR_EXPIRED` once the handler has returned. Within a later
 * handler a writer that was kept writes that handler's reply. They throw `ERR_ALREADY_REPLIED` after {@link later}.
 *
 * @example
 * ```ts
 * import { createServer, Dialer, lengthField } from 'netpoll'
 *
 * const framing = lengthField({ size: 4 })
 * const server = createServer({
 *   framing,
 *   onMessage(reader, writer) {
 *     writer.writeUint(reader.length, 2)
 *     writer.writeString(' bytes')
 *   },
 * })
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: 8000 })
 * const reply = await connection.call('hello')
 * console.log(reply.readUInt16BE(), reply.toString('utf8', 2)) // 5  bytes
 * ```
 */
export class MessageWriter {
  readonly #arena: OutgoingMemory
  #stage: Stage = Stage.Expired
  #framing: FramingRules | undefined
  #replies: LaterReplies | undefined
  /** What is written to, from {@link #start} to {@link #at}; there is room up to {@link #limit}. */
  #memory: Buffer = noChunk
  #handle = 0
  #start = 0
  #at = 0
  #limit = none
  /** What was written before, and its length. Nearly always nothing: then no piece is made. */
  #first: Piece | undefined
  #last: Piece | undefined
  #before = 0
  /** Bytes before the first piece, for the header. */
  #room = 0
  /** The arena that our bytes keep from being used again. */
  #held: Hold | undefined

  static {
    newMessageWriter = (arena) => new MessageWriter(own, arena)
    messageWriting = {
      open: (writer, framing, replies) => {
        writer.#stage = Stage.Blank
        writer.#framing = framing
        writer.#replies = replies
      },
      isBegun: (writer) => writer.#stage === Stage.Begun,
      send: (writer, sink, target) => writer.#send(sink, target),
      take: (writer) => writer.#take(),
      close: (writer) => {
        if (writer.#limit !== none) writer.#drop()
        writer.#stage = Stage.Expired
      },
    }
  }

  private constructor(given: typeof own, arena: OutgoingMemory) {
    checkOwn(given, 'Writers of messages come from onMessage')
    this.#arena = arena
  }

  /** Bytes written so far. */
  get mallocLength(): number {
    this.#check()
    return this.#before + this.#at - this.#start
  }

  /**
   * Memory that {@link reserve} has taken bytes of, among others. For codecs that encode by themselves, without a view of
   * each message. Taken again after each `reserve`, it may be another; do not keep it.
   */
  get bytes(): Buffer {
    this.#check()
    return this.#memory
  }

  /**
   * Adds `length` bytes of undefined content, and returns where in {@link bytes} they lie, for the handler to fill.
   * {@link mallocAck} drops what was not needed of the last ones.
   */
  reserve(length: number): number {
    checkInteger('length', length, 0, maxLength)
    return this.#reserve(length)
  }

  /** As {@link reserve}, as a view. Do not touch it once the handler has returned. */
  malloc(length: number): Buffer {
    checkInteger('length', length, 0, maxLength)
    const at = this.#reserve(length)
    return bufferView(this.#memory, at, length)
  }

  /** Keeps the first `length` bytes of the message, and drops the rest. */
  mallocAck(length: number): void {
    checkInteger('length', length, 0, this.mallocLength)
    if (length < this.#before) this.#cut(length)
    else this.#at = this.#start + length - this.#before
  }

  /** Writes `text` as UTF-8; returns the number of bytes. */
  writeString(text: string): number {
    if (typeof text !== 'string') throw invalidType('text', 'of type string', text)
    const most = text.length > shortText ? Buffer.byteLength(text) : 3 * text.length
    const at = this.#reserve(most)
    const length = this.#memory.write(text, at, most)
    this.#at = at + length
    return length
  }

  /**
   * Writes `bytes`, copied before this returns, unless they are 4 KiB or more of a received message. Those are sent from
   * where they lie, so do not change them afterwards. Returns the number of bytes.
   */
  writeBinary(bytes: Uint8Array): number {
    if (!isUint8Array(bytes)) throw invalidType('bytes', 'an instance of Uint8Array', bytes)
    const length = lengthOf(bytes)
    const handle = length < referenceLimit ? undefined : chunkHandle(bytes)
    if (handle !== undefined) {
      this.#refer(bytes, handle, length)
      return length
    }
    const at = this.#reserve(length)
    this.#memory.set(bytes, at)
    return length
  }

  /** Writes the next `length` bytes of the handler's message, which are consumed; all that are unread by default. */
  writeFrom(reader: MessageReader, length?: number): number {
    const count = length ?? reader.length
    const from = messageReading.advance(reader, count)
    const at = this.#reserve(count)
    messageReading.copy(reader, this.#memory, at, from, count)
    return count
  }

  /** Writes one byte, 0 to 255. */
  writeByte(byte: number): void {
    if (byte >>> 0 !== byte || byte > 255) checkInteger('byte', byte, 0, 255)
    const at = this.#reserve(1)
    this.#memory[at] = byte
  }

  /** Writes `value` as a number of `size` bytes without sign. */
  writeUint(value: number, size: UintSize, endian: Endian = 'big'): void {
    checkInteger('size', size, 1, 6)
    checkInteger('value', value, 0, largestUint[size] as number)
    const at = this.#reserve(size)
    const memory = this.#memory
    if (size === 4) {
      if (endian === 'big') memory.writeUInt32BE(value, at)
      else memory.writeUInt32LE(value, at)
    } else if (endian === 'big') memory.writeUIntBE(value, at, size)
    else memory.writeUIntLE(value, at, size)
  }

  /**
   * A handle by which the reply is sent later: it belongs to its holder, and does not expire. What was written so far is
   * dropped. The connection's order of replies and `maxInFlight` wait for it.
   *
   * @throws NetpollError `ERR_ALREADY_REPLIED` when it was taken already, and in what writes a later reply
   */
  later(): LaterReply {
    this.#check()
    if (this.#replies === undefined) throw alreadyReplied()
    if (this.#limit !== none) this.#drop()
    this.#stage = Stage.Left
    return this.#replies.later()
  }

  #check(): void {
    if (this.#stage === Stage.Expired) throw cursorExpired('writer')
    if (this.#stage === Stage.Left) throw alreadyReplied()
  }

  /** Room for `length` bytes of {@link #memory}, which count as written; returns where. */
  #reserve(length: number): number {
    const at = this.#at
    const next = at + length
    if (next > this.#limit) return this.#grow(length)
    this.#at = next
    return at
  }

  #grow(length: number): number {
    this.#check()
    const arena = this.#arena
    const isFirst = this.#stage === Stage.Blank
    const room = isFirst ? (this.#framing as FramingRules).headerLength(maxLength) : 0
    const least = room + length
    const wanted = least + (isFirst ? firstSpan : Math.min(this.mallocLength, maxSpan))
    const size = arena.hasRoom(wanted) || !arena.hasRoom(least) ? wanted : least
    const start = arena.take(size)
    this.#held = arena.hold(this.#held)
    if (!isFirst && arena.handle === this.#handle && start === this.#limit) {
      const at = this.#at
      this.#at = at + length
      this.#limit = start + size
      return at
    }
    if (isFirst) this.#begin(room)
    else this.#endPiece()
    this.#memory = arena.memory
    this.#handle = arena.handle
    this.#start = start + room
    this.#at = this.#start + length
    this.#limit = start + size
    return this.#start
  }

  #begin(room: number): void {
    this.#stage = Stage.Begun
    this.#room = room
  }

  /** What was written last becomes a piece of its own, because what follows lies elsewhere. */
  #endPiece(): void {
    const length = this.#at - this.#start
    // The first may be empty: the header stands before it.
    if (length === 0 && this.#first !== undefined) return
    this.#add({ memory: this.#memory, handle: this.#handle, start: this.#start, length, next: undefined })
  }

  #add(piece: Piece): void {
    if (this.#last === undefined) this.#first = piece
    else this.#last.next = piece
    this.#last = piece
    this.#before += piece.length
  }

  /** Has received bytes sent from where they lie. */
  #refer(bytes: Uint8Array, handle: number, length: number): void {
    if (this.#stage !== Stage.Begun) this.#grow(0)
    this.#endPiece()
    this.#add({ memory: bytes, handle, start: offsetOf(bytes), length, next: undefined })
    this.#start = this.#at
  }

  /** Drops what is behind the first `length` bytes, which end in an earlier piece: that may be received bytes, and is not added to. */
  #cut(length: number): void {
    let rest = length
    let piece = this.#first as Piece
    while (rest > piece.length) {
      rest -= piece.length
      piece = piece.next as Piece
    }
    piece.length = rest
    piece.next = undefined
    this.#last = piece
    this.#before = length
    this.#memory = noChunk
    this.#handle = noHandle
    this.#start = 0
    this.#at = 0
    this.#limit = 0
  }

  #send<Target>(sink: PieceSink<Target>, target: Target): void {
    const framing = this.#framing as FramingRules
    const length = this.mallocLength
    const { trailer } = framing
    if (trailer.length > 0) {
      const at = this.#reserve(trailer.length)
      this.#memory.set(trailer, at)
    }
    const before = framing.headerLength(length)
    const first = this.#first
    if (first === undefined) {
      const start = this.#start - before
      framing.writeHeader(this.#memory, start, length)
      sink.reply(target, this.#handle, start, this.#at - start)
    } else {
      framing.writeHeader(first.memory, first.start - before, length)
      first.start -= before
      first.length += before
      this.#endPiece()
      for (let piece: Piece | undefined = first; piece !== undefined; piece = piece.next) {
        const operation = piece.next === undefined ? Operation.Reply : Operation.Send
        sink.piece(operation, target, piece.handle, piece.start, piece.length)
      }
    }
    this.#giveBack(this.#at)
  }

  #take(): Buffer {
    const message = allocate(this.mallocLength)
    let at = 0
    for (let piece = this.#first; piece !== undefined; piece = piece.next) {
      // All of them lie in chunks, whatever view there is of those.
      message.set(new Uint8Array(bufferOf(piece.memory), piece.start, piece.length), at)
      at += piece.length
    }
    this.#memory.copy(message, at, this.#start, this.#at)
    this.#drop()
    return message
  }

  #drop(): void {
    this.#giveBack(this.#first === undefined ? this.#start - this.#room : this.#at)
  }

  /** Lets go of its memory, of which others get what is from `at` on. */
  #giveBack(at: number): void {
    this.#arena.giveBack(this.#memory, at, this.#limit)
    this.#stage = Stage.Blank
    this.#memory = noChunk
    this.#start = 0
    this.#at = 0
    this.#limit = none
    this.#first = undefined
    this.#last = undefined
    this.#before = 0
    if (this.#held !== undefined) {
      this.#arena.endHold(this.#held)
      this.#held = undefined
    }
  }
}

/** What sends replies that come later. */
export interface LaterReplySender<Place> {
  /** Answers with a payload, or nothing. */
  sendLater(place: Place, message: unknown): void
  /** Answers with what `write` writes; throws what that throws, and then nothing is sent. */
  writeLater(place: Place, write: (writer: MessageWriter) => unknown): void
  /** The request has failed. */
  failLater(place: Place, error: unknown): void
}

/** @internal Makes the handle of a reply. */
export let newLaterReply: <Place>(sender: LaterReplySender<Place>, place: Place) => LaterReply<Place>

/** @internal Takes the place of a reply away from its handle, whose handler has thrown. `undefined` where it was given. */
export let revoke: <Place>(later: LaterReply<Place>) => Place | undefined

/**
 * A reply that comes later, see {@link MessageWriter.later}. It is given once. Where the connection has gone meanwhile, it is
 * dropped.
 *
 * @typeParam Place where the package keeps it in the order of replies
 *
 * @example
 * ```ts
 * import { createServer, Dialer, lengthField } from 'netpoll'
 *
 * const framing = lengthField({ size: 4 })
 * const server = createServer({
 *   framing,
 *   onMessage(reader, writer) {
 *     const name = reader.readString(reader.length)
 *     const later = writer.later()
 *     setImmediate(() => later.write((to) => to.writeString(`hello, ${name}`)))
 *   },
 * })
 * await server.listen({ host: '127.0.0.1', port: 8000 })
 *
 * const connection = await new Dialer({ framing }).dial({ host: '127.0.0.1', port: 8000 })
 * console.log((await connection.call('you')).toString()) // hello, you
 * ```
 */
export class LaterReply<Place = unknown> {
  readonly #sender: LaterReplySender<Place>
  /** Until it is given. */
  #place: Place | undefined

  static {
    newLaterReply = (sender, place) => new LaterReply(own, sender, place)
    revoke = (later) => later.#take()
  }

  private constructor(given: typeof own, sender: LaterReplySender<Place>, place: Place) {
    checkOwn(given, 'Later replies come from writer.later()')
    this.#sender = sender
    this.#place = place
  }

  /** Whether the reply was given, or the request has failed. */
  get isGiven(): boolean {
    return this.#place === undefined
  }

  /**
   * Sends `message`, whose bytes are copied as `connection.send` copies them. Without one, nothing is sent: the request has
   * no reply.
   *
   * @throws NetpollError `ERR_ALREADY_REPLIED`
   */
  send(message?: Payload | null): void {
    this.#sender.sendLater(this.#given(), message)
  }

  /**
   * Sends what `write` writes, straight into the memory that is sent from. The writer expires when `write` returns.
   *
   * @throws NetpollError `ERR_ALREADY_REPLIED`; what `write` throws: then the reply was not given
   */
  write(write: (writer: MessageWriter) => void): void {
    const place = this.#given()
    try {
      this.#sender.writeLater(place, write)
    } catch (error) {
      this.#place = place
      throw error
    }
  }

  /**
   * The request has failed: the error is reported, and the connection closes, as where a handler throws.
   *
   * @throws NetpollError `ERR_ALREADY_REPLIED`
   */
  fail(error: unknown): void {
    this.#sender.failLater(this.#given(), error)
  }

  #given(): Place {
    const place = this.#take()
    if (place === undefined) throw alreadyReplied()
    return place
  }

  #take(): Place | undefined {
    const place = this.#place
    this.#place = undefined
    return place
  }
}
