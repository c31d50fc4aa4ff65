import test from 'ava'

import { NetpollError } from '../../dist/index.mjs'
import type { ClientCall, Middleware } from '../../dist/rpc/index.mjs'
import { CompressedReplies } from '../support/compressed-replies.mjs'
import type { Json } from '../support/json-codec.mjs'
import { rejection } from '../support/netpoll.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'

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
