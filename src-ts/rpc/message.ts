/** What travels beside a body: trace ids and the like, as text. */
export type Metadata = Readonly<Record<string, string>>

/** What messages of every kind have. */
interface Envelope {
  /** By which a reply finds its call: a whole number from 0 to 2³¹ − 1. */
  readonly id: number
  readonly method: string
  readonly metadata: Metadata
}

/** A request: one that is answered, or a one-way call that is not. */
export interface RequestMessage<Body = unknown> extends Envelope {
  readonly kind: 'call' | 'oneway'
  /** Milliseconds that the caller waits, from when it sent this; 0 for ever, or where the protocol does not say. */
  readonly timeout: number
  readonly body: Body
}

/** What a call is answered with. */
export interface ReplyMessage<Body = unknown> extends Envelope {
  readonly kind: 'reply'
  readonly body: Body
}

/** What a call is answered with that failed. */
export interface ErrorMessage extends Envelope {
  readonly kind: 'error'
  /** What the handler threw; at the caller, what its call rejects with. */
  readonly error: unknown
}

/** What a {@link Codec} turns into bytes and back. */
export type Message<Body = unknown> = RequestMessage<Body> | ReplyMessage<Body> | ErrorMessage

/** For messages that carry none. */
export const noMetadata: Metadata = Object.freeze(Object.create(null) as Metadata)
