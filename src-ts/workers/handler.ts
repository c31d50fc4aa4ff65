import type { MessageReader } from '../link-buffer/message-reader'
import type { MessageWriter } from '../link-buffer/message-writer'
import type { BytesOption, MessageTypes } from '../memory/message-types'
import type { Reply } from '../connection/messages/reply-queue'

/** Where a request came from. */
export interface WorkerRequest {
  /** Names the connection: the same for all of its requests, and no other connection of this process has it. */
  readonly connectionId: string
  /** Memory for a reply, that is sent from where it lies: see `Connection.allocate`. */
  allocate(length: number): Buffer
}

/**
 * The default export of a workers' module: handles one message and returns the reply, as the handler of a server does. It
 * sees no connection, which belongs to another thread.
 *
 * @typeParam Bytes the server's option `bytes`
 * @param request a view of pooled memory that is valid as long as it is held; do not change it
 *
 * @example
 * ```ts
 * import { isMainThread } from 'node:worker_threads'
 * import { createServer, lengthField, type WorkerHandler } from 'netpoll'
 *
 * const handler: WorkerHandler = (request, { allocate }) => {
 *   const reply = allocate(8)
 *   reply.writeDoubleBE(Math.sqrt(Number(request)))
 *   return reply
 * }
 * export default handler
 *
 * if (isMainThread) {
 *   const workers = { module: import.meta.url, threads: 2 }
 *   const server = createServer({ framing: lengthField({ size: 4 }), workers })
 *   await server.listen({ host: '127.0.0.1', port: 8000 })
 *   await server.close()
 * }
 * ```
 */
export type WorkerHandler<Bytes extends BytesOption = 'buffer'> = (
  request: MessageTypes[Bytes],
  context: WorkerRequest,
) => Reply | PromiseLike<Reply>

/**
 * What a workers' module may export as `onMessage`, in the place of its default export: handles one message by cursor, as
 * {@link CursorHandler} says.
 */
export type WorkerCursorHandler = (
  reader: MessageReader,
  writer: MessageWriter,
  context: WorkerRequest,
) => void

/** Where a request came from, as the core names it. */
export interface Origin {
  readonly poller: number
  readonly slot: number
  readonly generation: number
}

/** @internal Where a request came from, whatever its handler has made of the {@link WorkerRequest}. */
export let originOf: (source: Source) => Origin

/** The origin of a request, as handlers see it. It becomes text only when a handler reads it. */
export class Source implements WorkerRequest {
  readonly #origin: Origin
  readonly #allocate: (length: number) => Buffer

  static {
    originOf = (source) => source.#origin
  }

  constructor(origin: Origin, allocate: (length: number) => Buffer) {
    this.#origin = origin
    this.#allocate = allocate
  }

  get connectionId(): string {
    const { poller, slot, generation } = this.#origin
    return `${poller}.${slot}.${generation}`
  }

  /** May be called without its object. */
  get allocate(): (length: number) => Buffer {
    return this.#allocate
  }
}
