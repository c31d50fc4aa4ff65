// That a collection is over once every worker thread has had its own.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'

import { Collection } from './collecting.mjs'

const collecting = new URL('collecting.mjs', import.meta.url).href

/** A thread that collects once `gate` is open, and says when it stands before it. */
async function startThread(context, gate) {
  const source = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { collectWhenAsked } from '${collecting}'
    globalThis.gc = () => {
      Atomics.wait(workerData, 0, 0)
      Atomics.add(workerData, 1, 1)
    }
    collectWhenAsked()
    parentPort.postMessage('ready')
    parentPort.ref()`
  const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
  const thread = new Worker(url, { workerData: gate })
  context.after(() => thread.terminate())
  await once(thread, 'message')
}

function open(gate) {
  Atomics.store(gate, 0, 1)
  Atomics.notify(gate, 0)
}

const gateOf = () => new Int32Array(new SharedArrayBuffer(8))

test('a collection waits for every thread, also for one that begins meanwhile', async (context) => {
  const [first, second] = [gateOf(), gateOf()]
  let count = 2
  await Promise.all([startThread(context, first), startThread(context, second)])
  const running = new Collection(() => count).run()
  open(first)
  count = 3
  const late = gateOf()
  open(late)
  await startThread(context, late)
  open(second)
  assert.equal(await running, true)
  for (const gate of [first, second, late]) assert.equal(gate[1], 2)
})

test('a process without threads waits for none', async () => {
  assert.equal(await new Collection(() => 0).run(), true)
})
