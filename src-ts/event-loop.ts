import { adoptChunk } from './chunk'
import type { Connection } from './connection'
import { NetpollError } from './errors'
import { minorCollection } from './minor-collection'
import { ConnectionSettings, NativeEventLoop, type NativeId, type NativeSettings } from './native'
import { commandWords, Outbox } from './outbox'

/** What a record tells. The numbers are those of `batch.rs`. */
const RecordKind = {
  Message: 0,
  Accepted: 1,
  Connected: 2,
  Inactive: 3,
  Ended: 4,
  Congested: 5,
  Drained: 6,
  Closed: 7,
  AcceptPaused: 8,
  Idle: 9,
  Alarm: 10,
  BytesRead: 11,
  BytesWritten: 12,
  EndSent: 13,
} as const

const batchCapacity = 2048
const batchHeader = 2
const recordWords = 4
const firstRecord = batchHeader + batchCapacity

/** Who accepts connections on a listener. */
export interface Acceptor {
  /** A connection was accepted; returns the object that stands for it. */
  accepted(id: NativeId): Connection
  /** No descriptor or memory left: accepting pauses and is tried again. */
  acceptPaused(errno: number): void
}

/**
 * The poller of this thread, as JavaScript sees it: batches of records up, commands down. There is one
 * for each environment, made when it is first needed.
 *
 * What keeps the way of a message short: one call for all messages of a turn; records and commands are
 * words in shared memory; connections and chunks are found by index; a message costs one view.
 */
export class EventLoop {
  readonly native: NativeEventLoop
  readonly outbox: Outbox
  readonly #batch = new Int32Array(batchHeader + batchCapacity * (1 + recordWords))
  readonly #connections: (Connection | undefined)[] = []
  readonly #acceptors: (Acceptor | undefined)[] = []
  /** Views over chunks that more bytes may come in, by handle. */
  readonly #chunks: (Buffer | undefined)[] = []
  readonly #turnChunks: (Buffer | undefined)[] = []
  /** Where in the batch the record that is being delivered lies; behind all of them while there is none. */
  #delivering = firstRecord
  #references = 0
  #connectionCount = 0
  #listenerCount = 0

  constructor() {
    // Bun aborts the process at the first function of libuv that it lacks: not even asking is safe.
    if (process.versions['bun'] !== undefined) throw unsupported()
    const commands = new Int32Array(commandWords)
    this.native = openNative(this.#batch, commands, {
      receiver: this,
      dispatch: () => this.#dispatch(),
      adopt: (handle, buffer) => {
        this.#chunks[handle] = adoptChunk(handle, buffer)
      },
      retire: (handle) => {
        this.#chunks[handle] = undefined
      },
      collect: minorCollection(),
    })
    this.outbox = new Outbox(commands, this.native, this.#chunks)
  }

  /** Settings in the core's form, made once for a server or dialer. */
  createSettings(settings: NativeSettings): ConnectionSettings {
    return new ConnectionSettings(settings)
  }

  /** From now on records of this slot are for `connection`. */
  attach(connection: Connection): void {
    this.#connections[connection.slot] = connection
    this.#connectionCount += 1
  }

  /** Its slot has nothing more to tell, or belongs to somebody else from now on. */
  forget(connection: Connection): void {
    if (this.#connections[connection.slot] !== connection) return
    this.#connections[connection.slot] = undefined
    this.#connectionCount -= 1
  }

  /** Whether the batch that is being delivered has more bytes for `connection`. */
  hasUndelivered(connection: Connection): boolean {
    const batch = this.#batch
    const end = firstRecord + (batch[0] as number) * recordWords
    for (let at = this.#delivering + recordWords; at < end; at += recordWords) {
      if (batch[at] === connection.slot && ((batch[at + 1] as number) & 0xff) === RecordKind.Message)
        return true
    }
    return false
  }

  /** From now on connections of this listener are for `acceptor`. */
  attachAcceptor(slot: number, acceptor: Acceptor): void {
    this.#acceptors[slot] = acceptor
    this.#listenerCount += 1
  }

  /** Lets go of a listener that was stopped, once nothing of this turn can be for it any more. */
  detachAcceptor(slot: number): void {
    const acceptor = this.#acceptors[slot]
    this.#listenerCount -= 1
    setImmediate(() => {
      if (this.#acceptors[slot] === acceptor) this.#acceptors[slot] = undefined
    })
  }

  /** Connections of this thread, those that are being dialed or closed included. */
  get connections(): number {
    return this.#connectionCount
  }

  /** Listeners of this thread. */
  get listeners(): number {
    return this.#listenerCount
  }

  /** Keeps the process alive until it is released. */
  retain(): void {
    this.#references += 1
    if (this.#references === 1) this.native.ref()
  }

  /** Undoes one {@link retain}. */
  release(): void {
    this.#references -= 1
    if (this.#references === 0) this.native.unref()
  }

  /** Called once per turn, with all of its records. */
  #dispatch(): void {
    // Nearly always all of them belong to one server.
    const context = this.#connections[this.#batch[firstRecord] as number]?.context
    if (context === undefined) this.#deliver()
    else context.around(this.#deliver)
  }

  readonly #deliver = (): void => {
    const batch = this.#batch
    const records = batch[0] as number
    const chunks = batch[1] as number
    for (let index = 0; index < chunks; index += 1) {
      this.#turnChunks[index] = this.#chunks[batch[batchHeader + index] as number] as Buffer
    }
    for (let index = 0, at = firstRecord; index < records; index += 1, at += recordWords) {
      const slot = batch[at] as number
      const kind = batch[at + 1] as number
      const start = batch[at + 2] as number
      const length = batch[at + 3] as number
      this.#delivering = at
      if ((kind & 0xff) === RecordKind.Message) {
        const connection = this.#connections[slot]
        // Nothing comes for a connection after its end.
        if (connection === undefined) continue
        const chunk = this.#turnChunks[kind >>> 8] as Buffer
        if (chunk.length > 0) connection.receive(chunk, start, length)
        else this.#receiveCopy(connection, batch[batchHeader + (kind >>> 8)] as number, start, length)
      } else {
        this.#lifecycle(kind, slot, start, length)
      }
    }
    this.#delivering = firstRecord + records * recordWords
    // What is left here would keep its chunk until a later turn has as many.
    for (let index = 0; index < chunks; index += 1) this.#turnChunks[index] = undefined
  }

  /** User code has detached the chunk, by transferring `.buffer` of a message. */
  #receiveCopy(connection: Connection, handle: number, start: number, length: number): void {
    const copy = this.native.copy(handle, start, length)
    if (copy !== null) connection.receive(copy, 0, length)
  }

  #lifecycle(kind: number, slot: number, start: number, length: number): void {
    if (kind === RecordKind.Accepted) {
      const acceptor = this.#acceptors[start] as Acceptor
      const connection = acceptor.accepted({ slot, generation: length })
      this.attach(connection)
      connection.open()
      return
    }
    if (kind === RecordKind.AcceptPaused) {
      this.#acceptors[slot]?.acceptPaused(start)
      return
    }
    const connection = this.#connections[slot]
    if (connection === undefined) return
    switch (kind) {
      case RecordKind.Connected:
        connection.connected()
        break
      case RecordKind.Inactive:
        connection.inactive(start)
        break
      case RecordKind.Ended:
        connection.ended()
        break
      case RecordKind.Congested:
        connection.congested()
        break
      case RecordKind.Drained:
        connection.drained()
        break
      case RecordKind.Idle:
        connection.idle()
        break
      case RecordKind.Alarm:
        connection.alarmed()
        break
      case RecordKind.BytesRead:
        connection.totals('read', wide(start, length))
        break
      case RecordKind.BytesWritten:
        connection.totals('written', wide(start, length))
        break
      case RecordKind.EndSent:
        connection.endSent()
        break
      case RecordKind.Closed:
        this.forget(connection)
        connection.closed(start)
        break
    }
  }
}

/** A number of two words. */
function wide(low: number, high: number): number {
  return (low >>> 0) + (high >>> 0) * 2 ** 32
}

type Callbacks = ConstructorParameters<typeof NativeEventLoop>[2]

function openNative(batch: Int32Array, commands: Int32Array, callbacks: Callbacks): NativeEventLoop {
  try {
    return new NativeEventLoop(batch, commands, callbacks)
  } catch (cause) {
    throw unsupported(cause)
  }
}

function unsupported(cause?: unknown): NetpollError {
  return new NetpollError('ERR_UNSUPPORTED', 'netpoll needs the event loop of Node.js', { cause })
}

let current: EventLoop | undefined

/** The event loop of this thread. */
export function eventLoop(): EventLoop {
  current ??= new EventLoop()
  return current
}
