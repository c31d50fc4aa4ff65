import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test from 'ava'

import { createServer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { portOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()

const plain = [
  'text',
  'bytes',
  'list',
  'list of nothing',
  'allocated',
  'writer',
  'end',
  'whole frame',
  'duplex',
]

for (const pollers of [0, 1]) {
  for (const way of [...plain, 'tls']) {
    // Each thread has memory of its own.
    test.serial(`a thread may begin by sending nothing: ${way}, pollers ${pollers}`, async (t) => {
      const server = createServer({
        onConnect: (connection) =>
          way === 'tls' ? connection.startTls({ ...identity, ...patient }) : undefined,
      })
      t.teardown(() => server.close({ timeout: 0 }))
      await server.listen({ host: '127.0.0.1', port: 0 })
      const worker = new Worker(new URL('../fixtures/first-nothing.mjs', import.meta.url), {
        argv: [way, pollers, portOf(server), root.cert],
      })
      const exited = once(worker, 'exit')
      const [outcome] = (await once(worker, 'message')) as [unknown]
      t.is(outcome, 'in order')
      t.deepEqual(await exited, [0])
    })
  }
}
