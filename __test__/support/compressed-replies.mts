import { deflateSync } from 'node:zlib'

import type { Writer } from '../../dist/index.mjs'
import type { Codec, CompressedMessage, Message } from '../../dist/rpc/index.mjs'
import { JsonCodec, type Json } from './json-codec.mjs'

/** Takes replies for compressed ones, and notes that one has come. */
export class CompressedReplies implements Codec<Json> {
  readonly #codec = new JsonCodec()
  readonly #changed: Partial<CompressedMessage<Json>>
  readonly framing = this.#codec.framing
  readonly id = this.#codec.id
  hasCome = false

  /** `changed` is what replies have in place of what is right. */
  constructor(changed: Partial<CompressedMessage<Json>> = {}) {
    this.#changed = changed
  }

  encode(message: Message<Json>, writer: Writer): void {
    this.#codec.encode(message, writer)
  }

  decode(bytes: Buffer): Message<Json> | CompressedMessage<Json> {
    this.hasCome = true
    return {
      kind: 'compressed',
      payload: deflateSync(bytes),
      maxInflatedLength: 1_000,
      tooLarge: () => new Error('too large'),
      open: (inflated) => this.#codec.decode(inflated),
      ...this.#changed,
    }
  }
}
