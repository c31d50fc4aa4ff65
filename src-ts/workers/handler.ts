import type { BytesOption, MessageTypes } from '../message-types'
import type { Reply } from '../reply'

/** Where a request came from. */
export interface WorkerRequest {
  /** Names the connection: the same for all of its requests, and no other connection of this process has it. */
  readonly connection: string
  /** Memory for a reply, that is sent from where it lies: see `Connection.allocate`. */
  allocate(length: number): Buffer
}

/**
 * The default export of a workers' module: handles one message and returns the reply, as the handler of a server does. It
 * sees no connection, which belongs to another thread.
 *
 * @typeParam Bytes the server's option `bytes`
 * @param request a view of pooled memory that is valid as long as it is held; do not change it
 */
export type WorkerHandler<Bytes extends BytesOption = 'buffer'> = (
  request: MessageTypes[Bytes],
  context: WorkerRequest,
) => Reply | PromiseLike<Reply>

/** A request's origin, put into words only when somebody asks. */
export class Source implements WorkerRequest {
  readonly poller: number
  readonly slot: number
  readonly generation: number
  readonly allocate: (length: number) => Buffer

  constructor(poller: number, slot: number, generation: number, allocate: (length: number) => Buffer) {
    this.poller = poller
    this.slot = slot
    this.generation = generation
    this.allocate = allocate
  }

  get connection(): string {
    return `${this.poller}.${this.slot}.${this.generation}`
  }
}
