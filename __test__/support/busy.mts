import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { ExecutionContext } from 'ava'

/** Has another thread ask more of a server than it can answer, until the test is over. */
export async function keepBusy(t: ExecutionContext, port: number): Promise<void> {
  const file = new URL('../fixtures/pipelining.mjs', import.meta.url)
  const worker = new Worker(file, { workerData: { port, connections: 8, depth: 256 } })
  t.teardown(() => worker.terminate())
  await once(worker, 'online')
}
