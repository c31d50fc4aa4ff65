import { setMaxListeners } from 'node:events'
import { promiseHooks } from 'node:v8'
import test, { type ExecutionContext } from 'ava'

import { type Cluster, type ClusterOptions, fixed, roundRobin } from '../../dist/cluster/index.mjs'
import { Mux, type Payload } from '../../dist/index.mjs'
import { clusterOf, endpointsOf, members, ready } from '../support/cluster.mjs'
import { deferred, until } from '../support/deferred.mjs'
import { id, request } from '../support/leaving.mjs'
import { framing, rejection } from '../support/netpoll.mjs'

const timeout = 60_000
/** What a cluster keeps at most that no call uses. */
const maxSpare = 2 ** 20

/** Two servers, of which the first closes its connection instead of a reply. */
async function oneLosesCalls(t: ExecutionContext, options: Partial<ClusterOptions> = {}) {
  const all = await members(t, 2, async (message, index) => {
    if (index === 1) return message
    all[0]?.accepted.all.at(-1)?.destroy()
    return await deferred<Buffer>().promise
  })
  const cluster = clusterOf(t, fixed(endpointsOf(all)), {
    balancer: roundRobin(),
    ejection: { failures: Number.POSITIVE_INFINITY },
    retry: { ratio: 1, perSecond: 1_000_000, tries: 10 },
    onError: () => {},
    ...options,
  })
  await ready(cluster, 2)
  return cluster
}

/** Everything that is changed after `call` has returned. */
function overwrite(payload: Payload): void {
  for (const piece of Array.isArray(payload) ? payload : [payload]) {
    if (typeof piece !== 'string') piece.fill(0xff)
  }
}

const bytesOf = (payload: Payload): Buffer =>
  Buffer.concat((Array.isArray(payload) ? payload : [payload]).map(bytesOfPiece))

function bytesOfPiece(piece: Uint8Array | string): Buffer {
  if (typeof piece === 'string') return Buffer.from(piece)
  return Buffer.copyBytesFrom(new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength))
}

const shared = (bytes: Buffer): Uint8Array => {
  const copy = new Uint8Array(new SharedArrayBuffer(bytes.length))
  copy.set(bytes)
  return copy
}

class OwnBytes extends Uint8Array {
  override get length(): number {
    return 1
  }
}

/** Requests of every kind, around the lengths for which memory is used again. */
const kinds: Readonly<Record<string, (text: string) => Payload>> = {
  short: (text) => request(text),
  '64 bytes': (text) => request(text.padEnd(60)),
  '65 bytes': (text) => request(text.padEnd(61)),
  '1 KiB': (text) => request(text.padEnd(1_024)),
  '64 KiB': (text) => request(text.padEnd(2 ** 16 - 4)),
  '64 KiB and a byte': (text) => request(text.padEnd(2 ** 16 - 3)),
  shared: (text) => shared(request(text)),
  'a class of the user’s': (text) => new OwnBytes(request(text)),
  text: (text) => request(text).toString('latin1'),
  list: (text) => [request(text), 'and', Buffer.from('more')],
}

for (const [kind, make] of Object.entries(kinds)) {
  test(`a call that is made again sends what it was given: ${kind}`, async (t) => {
    const cluster = await oneLosesCalls(t)
    for (let round = 0; cluster.stats().retries < 3; round += 1) {
      t.true(round < 1_000)
      const payload = make(`call ${round}`)
      const expected = bytesOf(payload)
      const call = cluster.call(payload, { idempotent: true, timeout })
      overwrite(payload)
      t.deepEqual(await call, expected)
    }
  })
}

test('calls that are made again at once send each its own bytes', async (t) => {
  const cluster = await oneLosesCalls(t)
  const lengths = [1, 60, 61, 500, 1_024, 5_000, 70_000]
  for (let round = 0; cluster.stats().retries < 50; round += 1) {
    t.true(round < 1_000)
    const calls = Array.from({ length: 50 }, (_, index) => {
      const payload = request(`${round} ${index} `.padEnd(lengths[index % lengths.length] as number, '.'))
      const expected = Buffer.from(payload)
      const call = cluster.call(payload, { idempotent: true, timeout })
      payload.fill(0xff)
      return { call, expected }
    })
    for (const { call, expected } of calls) t.deepEqual(await call, expected)
  }
})

test('a call that waits for a server sends what it was given', async (t) => {
  const [one] = await members(t, 1)
  if (one === undefined) return
  const cluster = clusterOf(t, fixed([one.endpoint]))
  const payload = request('early')
  const expected = Buffer.from(payload)
  const call = cluster.call(payload, { timeout })
  t.is(cluster.stats().pending, 1)
  payload.fill(0xff)
  t.deepEqual(await call, expected)
  await until(() => cluster.stats().spareBytes === 64)
})

test('copies of requests use the same memory again', async (t) => {
  const all = await members(t, 1)
  const cluster = clusterOf(t, fixed(endpointsOf(all)))
  await ready(cluster, 1)
  t.is(cluster.stats().spareBytes, 0)
  for (let count = 0; count < 100; count += 1) await cluster.call(request('x'.repeat(1_024)), { timeout })
  t.is(cluster.stats().spareBytes, 2_048)
  await Promise.all(Array.from({ length: 10 }, () => cluster.call(request('x'.repeat(1_024)), { timeout })))
  t.is(cluster.stats().spareBytes, 10 * 2_048)
  await cluster.call('', { timeout: 1 }).catch(() => {})
  await cluster.call(request('x'.repeat(2 ** 16)), { timeout })
  t.is(cluster.stats().spareBytes, 10 * 2_048)
})

test('a burst of calls leaves no more memory than the bound, whatever becomes of them', async (t) => {
  const held = deferred<void>()
  const all = await members(t, 1, async (message) => {
    await held.promise
    return message
  })
  const cluster = clusterOf(t, fixed(endpointsOf(all)))
  await ready(cluster, 1)
  const { signal, abort } = abortable()
  const burst = (options: object) =>
    Array.from({ length: 40 }, () => cluster.call(request('x'.repeat(2 ** 15)), options))
  const [answered, aborted] = [burst({ timeout }), burst({ timeout, signal }).map(rejection)]
  t.is(cluster.stats().spareBytes, 0)
  abort()
  await Promise.all(aborted)
  t.is(cluster.stats().spareBytes, maxSpare)
  held.resolve()
  await Promise.all(answered)
  t.is(cluster.stats().spareBytes, maxSpare)
})

test('memory of one length gives way to that of others', async (t) => {
  const all = await members(t, 1)
  const cluster = clusterOf(t, fixed(endpointsOf(all)))
  await ready(cluster, 1)
  await Promise.all(
    Array.from({ length: 20 }, () => cluster.call(request('x'.repeat(2 ** 16 - 4)), { timeout })),
  )
  t.is(cluster.stats().spareBytes, maxSpare)
  for (let count = 0; count < 3; count += 1) {
    await cluster.call(request('x'), { timeout })
    t.is(cluster.stats().spareBytes, maxSpare - 2 ** 16 + 64)
  }
})

function abortable(): { readonly signal: AbortSignal; readonly abort: () => void } {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return { signal: controller.signal, abort: () => controller.abort() }
}

test('memory of calls with two tries at once is not used again', async (t) => {
  const cluster = await oneLosesCalls(t, { hedge: { delay: 1 } })
  for (let count = 0; count < 20; count += 1) {
    const payload = request(`${count}`.padEnd(1_024))
    const expected = Buffer.from(payload)
    const call = cluster.call(payload, { idempotent: true, timeout })
    payload.fill(0xff)
    t.deepEqual(await call, expected)
  }
  t.is(cluster.stats().spareBytes, 0)
})

/** Promises that so many calls make, one after the other, with those of the function that awaits them. */
async function promisesOf(client: Cluster | Mux, calls: number): Promise<number> {
  let made = 0
  await client.call(request('first'))
  const stop = promiseHooks.onInit(() => {
    made += 1
  })
  for (let count = 0; count < calls; count += 1) await client.call(request('next'))
  ;(stop as () => void)()
  return made
}

test.serial('a call that succeeds makes as many promises as that of a mux', async (t) => {
  const [one] = await members(t, 1)
  if (one === undefined) return
  const cluster = clusterOf(t, fixed([one.endpoint]))
  const mux = new Mux({ host: '127.0.0.1', port: one.port }, { framing, id, connections: 1 })
  t.teardown(() => mux.close({ timeout: 0 }))
  await ready(cluster, 1)
  await mux.connect()
  t.is(await promisesOf(cluster, 100), await promisesOf(mux, 100))
})
