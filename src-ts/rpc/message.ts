/** What travels beside a body: trace ids and the like, as text. */
export type Metadata = Readonly<Record<string, string>>

/** What messages of every kind have. */
interface Envelope {
  /** By which a reply finds its call: a whole number from 0 to 2³¹ − 1. */
  readonly id: number
  /** Name of the method, of a reply as well. */
  readonly method: string
  /** What travels beside the body. */
  readonly metadata: Metadata
}

/** A request: one that is answered, or a one-way call that is not. */
export interface RequestMessage<Body = unknown> extends Envelope {
  /** Whether a reply is awaited. */
  readonly kind: 'call' | 'oneway'
  /** Milliseconds that the caller waits, from when it sent this; 0 for ever, or where the protocol does not say. */
  readonly timeout: number
  /** What the method is given. */
  readonly body: Body
}

/** What a call is answered with. */
export interface ReplyMessage<Body = unknown> extends Envelope {
  /** Tells it from the others. */
  readonly kind: 'reply'
  /** What the method has returned. */
  readonly body: Body
}

/** What a call is answered with that failed. */
export interface ErrorMessage extends Envelope {
  /** Tells it from the others. */
  readonly kind: 'error'
  /** What the handler threw; at the caller, what its call rejects with. */
  readonly error: unknown
}

/** Says that the caller of a request waits no longer for its reply. It is not answered. */
export interface CancelMessage {
  /** Tells it from the others. */
  readonly kind: 'cancel'
  /** That of the request. */
  readonly id: number
}

/** What a {@link Codec} turns into bytes and back. */
export type Message<Body = unknown> = RequestMessage<Body> | ReplyMessage<Body> | ErrorMessage

/**
 * What a {@link Codec} makes of a message that zlib has compressed: it is inflated before the codec reads on. That counts
 * against `maxBufferedBytes` until the call ends.
 */
export interface CompressedMessage<Body = unknown> {
  /** Tells it from the others. */
  readonly kind: 'compressed'
  /** What zlib has made of the message. */
  readonly payload: Uint8Array
  /** Bytes that may become of it at most. Decompression stops there. */
  readonly maxInflatedLength: number
  /** Makes the error that says it becomes more. A call whose reply that is rejects with it, and it gets `sent: true`. */
  tooLarge(): Error
  /** Reads what it was. Not compressed once more: each layer would multiply what one byte can cost. */
  open(bytes: Buffer): Message<Body>
}

/** For messages that carry none. */
export const noMetadata: Metadata = Object.freeze(Object.create(null) as Metadata)
