import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { writeFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'

import { createServer } from '../dist/index.mjs'
import { nextTurn } from './support/deferred.mjs'
import { dial, framing, portOf, serve } from './support/netpoll.mjs'
import { socketPath } from './support/system.mjs'

/** Has another thread ask more of a server than it can answer, until the test is over. */
async function keepBusy(t: ExecutionContext, port: number): Promise<void> {
  const file = new URL('fixtures/pipelining.mjs', import.meta.url)
  const worker = new Worker(file, { workerData: { port, connections: 8, depth: 256 } })
  t.teardown(() => worker.terminate())
  await once(worker, 'online')
}

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

test.serial('the event loop of a worker turns while requests never end', async (t) => {
  const module = join(dirname(socketPath(t)), 'handler.mjs')
  writeFileSync(
    module,
    `let handled = 0, before = 0, most = 0
     setImmediate(function turned() {
       most = Math.max(most, handled - before)
       before = handled
       setImmediate(turned)
     })
     export default (request) => {
       handled += 1
       ${busy}
       return request.toString() === 'most' ? \`\${handled} \${most}\` : request
     }`,
  )
  const server = createServer({ framing, workers: { module, threads: 1 } })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  await keepBusy(t, portOf(server))
  const client = await dial(t, { host: '127.0.0.1', port: portOf(server) })
  let [handled, most] = [0, 0]
  while (handled < 30_000) {
    const reply = (await client.call('most')).toString()
    ;[handled = 0, most = 0] = reply.split(' ').map(Number)
  }
  t.true(most < 200, `${most} were handled in a turn`)
})
