import type { LaterReply, MessageWriter, Payload } from '../index'
import { finishCall, type ServerCall } from './server-call'

/** What a call of a server is answered with: once, by one of the two. */
export interface CallAnswer<Sent> {
  answered(body: Sent): void
  failed(error: unknown): void
}

/**
 * A method of a handler that answers by calling back, so that no promise is made. It is used where no middleware waits for
 * promises.
 */
export const answersBy = Symbol('netpoll.answersBy')

/** A handler that has it. */
export interface AnsweringHandler<Sent, Received> {
  readonly [answersBy]?: ((call: ServerCall<Received>, answer: CallAnswer<Sent>) => void) | undefined
}

/** What writes the answers of a server. */
export interface AnswerWriter<Sent, Received> {
  /** Writes a reply, or the error where that cannot be written. */
  writeReply(writer: MessageWriter, call: ServerCall<Received>, body: Sent): void
  writeError(writer: MessageWriter, call: ServerCall<Received>, error: unknown): void
  /** A call that expects no reply has failed. */
  onewayFailed(error: unknown, call: ServerCall<Received>): void
}

/**
 * A call whose message is read by cursor. What is given while its handler runs is written at once, anything else later; no
 * promise is made for it.
 */
export class CursorCall<Sent, Received> implements CallAnswer<Sent> {
  readonly call: ServerCall<Received>
  readonly #answers: AnswerWriter<Sent, Received>
  /** Of the handler, while that runs. */
  #writer: MessageWriter | undefined
  #later: LaterReply | undefined
  #isOver = false

  constructor(call: ServerCall<Received>, answers: AnswerWriter<Sent, Received>, writer: MessageWriter) {
    this.call = call
    this.#answers = answers
    this.#writer = writer
  }

  /** The handler is about to return: where nothing was given, it is left for later. */
  readonly leave = (): void => {
    if (!this.#isOver) this.#later = this.#writer?.later()
    this.#writer = undefined
  }

  readonly answered = (body: Sent): void => {
    if (this.#isOver) return
    this.#end((writer) => this.#answers.writeReply(writer, this.call, body))
  }

  readonly failed = (error: unknown): void => {
    if (this.#isOver) return
    if (!this.call.expectsReply) this.#answers.onewayFailed(error, this.call)
    this.#end((writer) => this.#answers.writeError(writer, this.call, error))
  }

  #end(write: (writer: MessageWriter) => void): void {
    this.#isOver = true
    const writer = this.#writer
    try {
      if (!this.call.expectsReply) this.#later?.send()
      else if (writer !== undefined) write(writer)
      else this.#writeLater(write)
    } finally {
      finishCall(this.call)
    }
  }

  /** An error that cannot be written costs the connection. */
  #writeLater(write: (writer: MessageWriter) => void): void {
    try {
      this.#later?.write(write)
    } catch (error) {
      this.#later?.fail(error)
    }
  }
}

/** Writes a payload as a message. */
export function writePayload(writer: MessageWriter, payload: Payload): void {
  if (typeof payload === 'string') writer.writeString(payload)
  else if (payload instanceof Uint8Array) writer.writeBinary(payload)
  else for (const piece of payload) writePayload(writer, piece)
}
