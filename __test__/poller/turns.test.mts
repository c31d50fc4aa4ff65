import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'

import { createServer, type RequestHandler } from '../../dist/index.mjs'
import { keepBusy } from '../support/busy.mjs'
import { nextTurn } from '../support/deferred.mjs'
import { dial, framing, portOf, serve } from '../support/netpoll.mjs'
import { socketPath } from '../support/system.mjs'

/** Takes as long as a small handler does: longer than the poller needs for a message. */
const busy = 'const end = performance.now() + 0.02; while (performance.now() < end);'

// Serial: how many requests come in a turn is what is looked at, and others have requests, too.
for (const pollers of [0, 1, 2]) {
  test.serial(`the event loop turns while requests never end, with ${pollers} pollers`, async (t) => {
    const work = new Function(busy) as () => void
    let handled = 0
    const { port } = await serve(t, { pollers }, (request) => {
      handled += 1
      work()
      return request
    })
    await keepBusy(t, port)
    let most = 0
    while (handled < 60_000) {
      const before = handled
      await nextTurn()
      most = Math.max(most, handled - before)
    }
    // Of a batch there are up to 127, and inline they come in up to 16 rounds.
    t.true(most < 8_000, `${most} were handled in a turn`)
  })
}

/** Takes `milliseconds`, at least. */
function burn(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

/** Handlers that take a millisecond: at once, and in microtasks. */
const slow: Readonly<Record<string, RequestHandler>> = {
  'at once': (request) => {
    burn(1)
    return request
  },
  'after an await': async (request) => {
    await undefined
    burn(1)
    return request
  },
  'after many': async (request) => {
    for (let count = 0; count < 10; count += 1) await undefined
    burn(1)
    return request
  },
}

// How long a turn is has a bound, so that so many such handlers have one: a busy machine makes them fewer. At first some more
// may be handled, where their batch tells of connections as well, which cost little.
for (const pollers of [0, 1, 2]) {
  for (const [when, handler] of Object.entries(slow)) {
    test.serial(`slow handlers let the event loop turn: ${when}, ${pollers} pollers`, async (t) => {
      let handled = 0
      const { port } = await serve(t, { pollers, maxInFlight: 1_024 }, (request, connection) => {
        handled += 1
        return handler(request, connection)
      })
      await keepBusy(t, port)
      let most = 0
      while (handled < 500) {
        const before = handled
        await nextTurn()
        most = Math.max(most, handled - before)
      }
      t.true(most <= 40, `${most} were handled in a turn`)
    })
  }
}

for (const pollers of [0, 1, 2]) {
  for (const [when, handler] of Object.entries(slow)) {
    test.serial(`replies keep their order over turns: ${when}, ${pollers} pollers`, async (t) => {
      const { port } = await serve(t, { pollers, maxInFlight: 1_024 }, handler)
      const connection = await dial(t, { host: '127.0.0.1', port })
      const texts = Array.from({ length: 150 }, (_, index) => `request ${index}`)
      const replies = await Promise.all(texts.map((text) => connection.call(text)))
      t.deepEqual(replies.map(String), texts)
    })
  }

  test.serial(`nothing is detached in the midst of a batch, with ${pollers} pollers`, async (t) => {
    let [handled, refused] = [0, 0]
    const { port } = await serve(t, { pollers, maxInFlight: 1_024 }, (request, connection) => {
      burn(1)
      handled += 1
      // Comes between two parts of the batch.
      if (handled === 3) {
        setImmediate(() => {
          if (handled < 100) refused += t.throws(() => connection.detach(), { code: 'EAGAIN' }) ? 1 : 0
        })
      }
      return request
    })
    const client = await dial(t, { host: '127.0.0.1', port })
    const texts = Array.from({ length: 100 }, (_, index) => `request ${index}`)
    const replies = await Promise.all(texts.map((text) => client.call(text)))
    t.deepEqual(replies.map(String), texts)
    t.is(refused, 1)
  })

  test.serial(`a thread ends in the midst of a batch, with ${pollers} pollers`, async (t) => {
    const server = new Worker(new URL('../fixtures/slow-server.mjs', import.meta.url), {
      workerData: { pollers },
    })
    t.teardown(() => server.terminate())
    const [port] = (await once(server, 'message')) as [number]
    const busyAgain = once(server, 'message')
    await keepBusy(t, port)
    await busyAgain
    t.is(await server.terminate(), 1)
  })
}

interface Worked {
  /** What a worker's module exports; it counts in `handled`, and returns `reply(request)`. */
  readonly handler: string
  readonly workers?: { readonly concurrentTasksPerWorker: number }
  readonly maxInFlight?: number
  /** How many requests are handled until the count is looked at. */
  readonly until: number
}

/** The most requests that a worker has handled between two turns of its event loop. */
async function maxInTurn(t: ExecutionContext, worked: Worked): Promise<number> {
  const module = join(dirname(socketPath(t)), 'handler.mjs')
  writeFileSync(
    module,
    `let handled = 0, before = 0, most = 0
     setImmediate(function turned() {
       most = Math.max(most, handled - before)
       before = handled
       setImmediate(turned)
     })
     const reply = (request) => (request.toString() === 'most' ? \`\${handled} \${most}\` : request)
     export default ${worked.handler}`,
  )
  const { workers, maxInFlight, until } = worked
  const server = createServer({ framing, workers: { module, threads: 1, ...workers }, maxInFlight })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  await keepBusy(t, portOf(server))
  const client = await dial(t, { host: '127.0.0.1', port: portOf(server) })
  let [handled, most] = [0, 0]
  while (handled < until) {
    ;[handled = 0, most = 0] = (await client.call('most')).toString().split(' ').map(Number)
  }
  return most
}

test.serial('the event loop of a worker turns while requests never end', async (t) => {
  const handler = `(request) => {
    handled += 1
    ${busy}
    return reply(request)
  }`
  const most = await maxInTurn(t, { handler, until: 30_000 })
  t.true(most < 200, `${most} were handled in a turn`)
})

for (const [when, wait] of Object.entries({ 'at once': '', 'after an await': 'await undefined' })) {
  test.serial(`slow handlers let the event loop of a worker turn: ${when}`, async (t) => {
    const handler = `${wait === '' ? '' : 'async'} (request) => {
      handled += 1
      ${wait}
      const end = performance.now() + 1
      while (performance.now() < end);
      return reply(request)
    }`
    const workers = { concurrentTasksPerWorker: 256 }
    const most = await maxInTurn(t, { handler, workers, maxInFlight: 1_024, until: 500 })
    t.true(most <= 40, `${most} were handled in a turn`)
  })
}
