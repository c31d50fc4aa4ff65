import type { FramingRules } from '../../framing/rules'
import { messageReading, newMessageReader } from '../../link-buffer/message-reader'
import {
  type LaterReplies,
  type LaterReply,
  type LaterReplySender,
  type MessageWriter,
  messageWriting,
  newLaterReply,
  newMessageWriter,
  type OutgoingMemory,
} from '../../link-buffer/message-writer'
import type { Chunk } from '../../memory/chunk'
import { channels } from '../../process/diagnostics'
import { refusePromise } from '../../process/report'
import { testsCursors } from '../../process/test-modes'
import { requests } from '../../process/tracing'
import type { CursorHandler } from '../hooks'

/** What sends the replies of handlers that read by cursor, in their order. */
export interface CursorReplies<Place> extends LaterReplySender<Place> {
  /** The place among the replies of the message that was given this number. */
  placeLater(number: number): Place
}

/**
 * What a handler reads and writes by. Its pair is used again for the next message, so that a message allocates nothing.
 * Within a handler that turns the event loop, messages get another.
 */
export class Cursor<Place = unknown> implements LaterReplies {
  readonly reader = newMessageReader()
  readonly writer: MessageWriter
  next: Cursor | undefined
  #replies: CursorReplies<Place> | undefined
  #number = 0
  #handler: CursorHandler | undefined
  #chunk: Chunk | undefined
  #start = 0
  #length = 0
  /** The handle that its handler has taken. */
  #later: LaterReply<Place> | undefined

  constructor(memory: OutgoingMemory) {
    this.writer = newMessageWriter(memory)
  }

  /** A cursor for a message, which `handler` is to get. `number` is what `replies` knows it by. */
  static over<Place>(
    handler: CursorHandler,
    chunk: Chunk,
    start: number,
    length: number,
    replies: CursorReplies<Place>,
    number: number,
    framing: FramingRules,
    memory: OutgoingMemory,
  ): Cursor<Place> {
    const cursor = Cursor.#take(memory) as Cursor<Place>
    cursor.#replies = replies
    cursor.#number = number
    cursor.#handler = handler
    if (testsCursors) {
      cursor.#chunk = chunk
      cursor.#start = start
      cursor.#length = length
    }
    messageReading.open(cursor.reader, chunk, start, length)
    messageWriting.open(cursor.writer, framing, cursor)
    return cursor
  }

  /** A cursor whose writer alone is used. */
  static toWrite(framing: FramingRules, memory: OutgoingMemory): Cursor {
    const cursor = Cursor.#take(memory)
    messageWriting.open(cursor.writer, framing, undefined)
    return cursor
  }

  static #take(memory: OutgoingMemory): Cursor {
    const cursor = spare
    if (cursor === undefined) return new Cursor(memory)
    spare = cursor.next
    cursor.next = undefined
    return cursor
  }

  /** The handle of a reply that was left for later, if it was. */
  get leftFor(): LaterReply<Place> | undefined {
    return this.#later
  }

  later(): LaterReply {
    const replies = this.#replies as CursorReplies<Place>
    this.#later = newLaterReply(replies, replies.placeLater(this.#number))
    return this.#later as LaterReply
  }

  /** Calls the handler, in its context. */
  static call(cursor: Cursor, facade: object): void {
    const { reader, writer } = cursor
    const result = (cursor.#handler as CursorHandler)(reader, writer, facade as never) as unknown
    // It would write when the writer is another's.
    if (result !== undefined) refusePromise('onMessage', result)
  }

  /** As {@link call}, told to the subscribers of a connection's requests. They get a view. */
  static tell(cursor: Cursor, connection: object): void {
    const told = { connection, request: messageReading.whole(cursor.reader) }
    if (requests.hasSubscribers) requests.result(told, () => Cursor.#announce(cursor, told))
    else Cursor.#announce(cursor, told)
  }

  static #announce(cursor: Cursor, told: { readonly connection: object; readonly request: Buffer }): void {
    const { connection, request } = told
    channels.request.publish({ connection, request })
    Cursor.call(cursor, connection)
  }

  /** As {@link tell}, of a worker's request, which has a source in place of a connection. */
  static tellOfSource(cursor: Cursor, source: object): void {
    const request = messageReading.whole(cursor.reader)
    requests.result({ source, request }, () => Cursor.call(cursor, source))
  }

  /** Reader and writer expire. Returns whether nothing refers to the message any more. */
  close(): boolean {
    const hasViews = messageReading.close(this.reader)
    messageWriting.close(this.writer)
    this.#replies = undefined
    this.#handler = undefined
    // A spare one would keep a connection that has ended.
    this.#later = undefined
    if (testsCursors) {
      this.#overwrite(hasViews)
      return !hasViews
    }
    this.next = spare
    spare = this as Cursor
    return !hasViews
  }

  /** As what is read there next does. */
  #overwrite(hasViews: boolean): void {
    const chunk = this.#chunk
    this.#chunk = undefined
    if (!hasViews) chunk?.bytes.fill(overwritten, this.#start, this.#start + this.#length)
  }
}

/** Neither a small number, nor text. */
const overwritten = 0xdb

let spare: Cursor | undefined
