import { deflateSync } from 'node:zlib'
import test from 'ava'

import { NetpollError, type Writer } from '../../dist/index.mjs'
import type { ClientCall, Codec, CompressedMessage, Message, Middleware } from '../../dist/rpc/index.mjs'
import { JsonCodec, type Json } from '../support/json-codec.mjs'
import { rejection } from '../support/netpoll.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'

/** Takes replies for compressed ones, and notes that one has come. */
class CompressedReplies implements Codec<Json> {
  readonly #codec = new JsonCodec()
  readonly framing = this.#codec.framing
  readonly id = this.#codec.id
  hasCome = false

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
    }
  }
}

for (const kind of ['mux', 'pool'] as const) {
  test(`a call says that it was sent if its time is over before the reply is inflated: ${kind}`, async (t) => {
    let count = 0
    const { port } = await serveCalls(t, () => {
      count += 1
      return null
    })
    const codec = new CompressedReplies()
    const untilReply: Middleware<ClientCall<Json>, Json | undefined> = (next) => (call) =>
      next(
        Object.create(call, {
          deadline: { get: () => (codec.hasCome ? 1 : Number.POSITIVE_INFINITY) },
        }) as typeof call,
      )
    const client = clientOf(t, port, { kind, middleware: [untilReply] }, codec)
    const error = await rejection(client.call('x', null))
    t.true(error instanceof NetpollError, String(error))
    t.like(error, { code: 'ERR_REQUEST_TIMEOUT', sent: true })
    t.is(count, 1)
  })
}
