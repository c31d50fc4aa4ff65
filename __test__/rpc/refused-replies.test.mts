// A call whose reply cannot be inflated was carried out: its error says so, and who has made the call.

import { randomBytes } from 'node:crypto'
import { deflateSync } from 'node:zlib'
import test, { type ExecutionContext } from 'ava'

import { configure, NetpollError } from '../../dist/index.mjs'
import { type CompressedMessage, RpcError } from '../../dist/rpc/index.mjs'
import { CompressedReplies } from '../support/compressed-replies.mjs'
import type { Json } from '../support/json-codec.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import { clientOf, serveCalls } from '../support/rpc.mjs'
import { errorOf, errorUnawaited, saysWhoCalls } from '../support/stacks.mjs'

class OwnError extends NetpollError {
  readonly limit = 10
}

interface Refusal {
  readonly reply: Partial<CompressedMessage<Json>>
  readonly maxBufferedBytes?: number
  readonly code: string
}

const tooLarge = (make: () => Error): Refusal['reply'] => ({ maxInflatedLength: 10, tooLarge: make })

/** More than is inflated at once. */
const large = deflateSync(randomBytes(100_000))

/** Those of this package and of zlib. */
const refusals: Readonly<Record<string, Refusal>> = {
  'is no stream of zlib': { reply: { payload: Buffer.from('nonsense') }, code: 'Z_DATA_ERROR' },
  'is a large stream of zlib that breaks off': {
    reply: { payload: large.subarray(0, large.length / 2), maxInflatedLength: 1e6 },
    code: 'Z_BUF_ERROR',
  },
  'exceeds maxBufferedBytes': {
    reply: { payload: deflateSync(Buffer.alloc(10_000)), maxInflatedLength: 20_000 },
    maxBufferedBytes: 5_000,
    code: 'ERR_BUFFER_LIMIT',
  },
  'is too large': {
    reply: tooLarge(() => new NetpollError('ERR_INFLATED_TOO_LARGE', 'too large')),
    code: 'ERR_INFLATED_TOO_LARGE',
  },
  'is too large, by a class of its own': {
    reply: tooLarge(() => new OwnError('ERR_OWN', 'too large')),
    code: 'ERR_OWN',
  },
  'is too large, by an RpcError': {
    reply: tooLarge(() => new RpcError('ERR_RPC_OWN', 'too large')),
    code: 'ERR_RPC_OWN',
  },
}

async function callerOf(t: ExecutionContext, { reply, maxBufferedBytes }: Refusal) {
  const { port } = await serveCalls(t, () => null)
  const client = clientOf(
    t,
    port,
    { ...(maxBufferedBytes && { maxBufferedBytes }) },
    new CompressedReplies(reply),
  )
  return () => client.call('x', null)
}

for (const [why, refusal] of Object.entries(refusals)) {
  test.serial(`a call whose reply ${why} says that it was sent, and by whom`, async (t) => {
    const error = await errorOf(await callerOf(t, refusal))
    t.is(codeOf(error), refusal.code)
    t.true((error as NetpollError).sent)
    saysWhoCalls(t, error)
  })

  test.serial(
    `a call whose reply ${why} says by whom with callStacks, although nobody awaits it`,
    async (t) => {
      configure({ callStacks: true })
      t.teardown(() => configure({ callStacks: false }))
      const error = await errorUnawaited(await callerOf(t, refusal))
      t.is(codeOf(error), refusal.code)
      t.true((error as NetpollError).sent)
      saysWhoCalls(t, error)
    },
  )
}

test('a call rejects with the very error that a codec says, whatever its class', async (t) => {
  const mine = new OwnError('ERR_OWN', 'mine')
  const others = [mine, new RangeError('mine'), Object.assign(new Error('mine'), { limit: 1 })]
  for (const other of others) {
    const { stack } = other
    const error = await rejection((await callerOf(t, { reply: tooLarge(() => other), code: '' }))())
    t.is(error, other)
    t.true((error as NetpollError).sent)
    // What the user has made says where it was made.
    if (!(other instanceof NetpollError)) t.is((error as Error).stack, stack)
  }
})

test('what a codec says that takes no member is what the call rejects with', async (t) => {
  const frozen = Object.freeze(new Error('mine'))
  const guarded = new Proxy(new Error('mine'), {
    defineProperty() {
      throw new Error('not to be seen')
    },
  })
  for (const other of [frozen, guarded, 'no error', undefined]) {
    const caller = await callerOf(t, { reply: tooLarge(() => other as Error), code: '' })
    t.is(await rejection(caller()), other)
  }
})

test('what is thrown in place of an error is what the call rejects with', async (t) => {
  const thrown = new TypeError('a fault of the codec')
  const { stack } = thrown
  const caller = await callerOf(t, {
    reply: tooLarge(() => {
      throw thrown
    }),
    code: '',
  })
  t.is(await rejection(caller()), thrown)
  t.is(thrown.stack, stack)
})
