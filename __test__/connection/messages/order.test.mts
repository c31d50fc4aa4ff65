import test from 'ava'

import { type Deferred, deferred, Inbox } from '../../support/deferred.mjs'
import { frame, frames, unframe } from '../../support/frames.mjs'
import { connectPeer, dial, serve } from '../../support/netpoll.mjs'

/** A handler whose requests are answered when the test says so, with themselves. */
function gate(): {
  readonly handler: (request: Buffer) => Promise<string>
  readonly requests: Inbox<string>
  readonly answer: (request: string) => void
} {
  const requests = new Inbox<string>()
  const waiting = new Map<string, Deferred<string>>()
  return {
    requests,
    handler: (request) => {
      const name = request.toString()
      const reply = deferred<string>()
      waiting.set(name, reply)
      requests.push(name)
      return reply.promise
    },
    answer: (request) => {
      waiting.get(request)?.resolve(request)
      waiting.delete(request)
    },
  }
}

test('replies leave in the order of their requests, whatever finishes first', async (t) => {
  const { handler, requests, answer } = gate()
  const { port } = await serve(t, {}, handler)
  const names = Array.from({ length: 100 }, (_, index) => `request ${index}`)
  const peer = await connectPeer(t, { port })
  await peer.write(frames(...names))
  await requests.reach(names.length)
  for (const name of names.toReversed()) answer(name)
  t.deepEqual(unframe(await peer.read(frames(...names).length)).map(String), names)
})

test('a reply that is ready at once waits for those before it', async (t) => {
  const slow = deferred<string>()
  const handled = new Inbox<string>()
  const { port } = await serve(t, {}, (request) => {
    handled.push(request.toString())
    return request.toString() === 'slow' ? slow.promise : request
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frames('slow', 'quick', 'nimble'))
  await handled.reach(3)
  slow.resolve('slow')
  const expected = frames('slow', 'quick', 'nimble')
  t.deepEqual(await peer.read(expected.length), expected)
})

test('a request without a reply leaves no gap between those of others', async (t) => {
  const slow = deferred<undefined>()
  const { port } = await serve(t, { maxInFlight: 4 }, (request) => {
    if (request.toString() === 'slow') return slow.promise
    if (request.toString() === 'mute') return undefined
    if (request.toString() === 'last') slow.resolve(undefined)
    return request
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frames('slow', 'a', 'mute', 'last', 'b'))
  const expected = frames('a', 'last', 'b')
  t.deepEqual(await peer.read(expected.length), expected)
})

test('connections do not wait for each other', async (t) => {
  const { handler, requests, answer } = gate()
  const { port } = await serve(t, {}, handler)
  const [first, second] = [await connectPeer(t, { port }), await connectPeer(t, { port })]
  await first.write(frame('first'))
  await requests.take()
  await second.write(frame('second'))
  await requests.take()
  answer('second')
  t.deepEqual(await second.read(10), frame('second'))
  answer('first')
  t.deepEqual(await first.read(9), frame('first'))
})

test('with ordered: false replies leave as their handlers finish', async (t) => {
  const { handler, requests, answer } = gate()
  const { port } = await serve(t, { ordered: false }, handler)
  const peer = await connectPeer(t, { port })
  const names = ['a', 'b', 'c', 'd']
  await peer.write(frames(...names))
  await requests.reach(names.length)
  for (const name of ['c', 'a', 'd', 'b']) {
    answer(name)
    t.deepEqual(await peer.read(5), frame(name))
  }
})

test('with ordered: false a reply that is ready at once overtakes', async (t) => {
  const slow = deferred<string>()
  const { port } = await serve(t, { ordered: false }, (request) =>
    request.toString() === 'slow' ? slow.promise : request,
  )
  const peer = await connectPeer(t, { port })
  await peer.write(frames('slow', 'quick'))
  t.deepEqual(await peer.read(9), frame('quick'))
  slow.resolve('slow')
  t.deepEqual(await peer.read(8), frame('slow'))
})

for (const ordered of [true, false]) {
  test(`maxInFlight bounds the running handlers and drops nothing, with ordered: ${ordered}`, async (t) => {
    const maxInFlight = 7
    let running = 0
    let most = 0
    const { handler, requests, answer } = gate()
    const { port } = await serve(t, { maxInFlight, ordered }, async (request) => {
      running += 1
      most = Math.max(most, running)
      try {
        return await handler(request)
      } finally {
        running -= 1
      }
    })
    const names = Array.from({ length: 10 * maxInFlight }, (_, index) => `request ${index}`)
    const peer = await connectPeer(t, { port })
    await peer.write(frames(...names))
    for (let done = 0; done < names.length; done += 1) {
      await requests.reach(Math.min(done + maxInFlight, names.length))
      answer(requests.all[done] as string)
    }
    t.deepEqual(unframe(await peer.read(frames(...names).length)).map(String), names)
    t.is(most, maxInFlight)
  })
}

test('at maxInFlight nothing more is handed over, however much comes and however long it takes', async (t) => {
  const { handler, requests, answer } = gate()
  const { port } = await serve(t, { maxInFlight: 3 }, handler)
  const peer = await connectPeer(t, { port })
  const names = Array.from({ length: 30 }, (_, index) => `${index}`)
  await peer.write(frames(...names.slice(0, 15)))
  await requests.reach(3)
  await peer.write(frames(...names.slice(15)))
  const other = await connectPeer(t, { port })
  await other.write(frame('other'))
  await requests.reach(4)
  t.deepEqual(requests.all, ['0', '1', '2', 'other'])
  for (const [index, name] of names.entries()) {
    await requests.reach(Math.min(index + 4, 31))
    answer(name)
  }
  t.deepEqual(unframe(await peer.read(frames(...names).length)).map(String), names)
})

test('a message larger than everything that maxInFlight holds is no deadlock', async (t) => {
  const { port } = await serve(t, { maxInFlight: 1 }, async (request) => request.length.toString())
  const peer = await connectPeer(t, { port })
  const large = Buffer.alloc(3_000_000, 1)
  void peer.write(frames('a', large, 'b', large, ''))
  const expected = frames('1', '3000000', '1', '3000000', '0')
  t.deepEqual(await peer.read(expected.length), expected)
})

test('replies to a dialer that handles messages, too, do not use up its maxInFlight', async (t) => {
  const { port } = await serve(t, {}, (request) => request)
  const client = await dial(t, { port }, { maxInFlight: 2, onRequest: () => {} })
  for (let index = 0; index < 10; index += 1) t.is((await client.call(`${index}`)).toString(), `${index}`)
})

test('send goes out at once, before replies that are still awaited', async (t) => {
  const reply = deferred<string>()
  const { port } = await serve(t, {}, (_request, connection) => {
    void connection.send('first')
    return reply.promise
  })
  const peer = await connectPeer(t, { port })
  await peer.write(frame('x'))
  t.deepEqual(await peer.read(9), frame('first'))
  reply.resolve('second')
  t.deepEqual(await peer.read(10), frame('second'))
})

test.serial(
  'a promise of another kind that settles twice counts once, and for its own request',
  async (t) => {
    const twice = new Inbox<(value: string) => void>()
    const { port } = await serve(t, {}, (request) => {
      if (request.toString() !== 'twice') return Promise.resolve(request)
      // biome-ignore lint/suspicious/noThenProperty: what is tested
      return { then: twice.push } as unknown as PromiseLike<string>
    })
    const bad = await connectPeer(t, { port })
    const good = await connectPeer(t, { port })
    await bad.write(frame('twice'))
    const settle = await twice.take()
    settle('once')
    t.deepEqual(await bad.read(8), frame('once'))
    await good.write(frame('twice'))
    const settleGood = await twice.take()
    settle('for somebody else')
    settleGood('good')
    t.deepEqual(await good.read(8), frame('good'))
  },
)
