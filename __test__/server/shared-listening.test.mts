import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'

import { createServer, Dialer, type DialOptions, type ListenOptions, type Server } from '../../dist/index.mjs'
import { codeOf, framing, gone, portOf, rejection } from '../support/netpoll.mjs'
import { socketPath } from '../support/system.mjs'

const host = '127.0.0.1'

async function listen(t: ExecutionContext, name: string, place: ListenOptions): Promise<Server> {
  const server = createServer({ framing }, () => name)
  t.teardown(() => server.close({ timeout: 0 }))
  return server.listen(place)
}

async function listenInWorker(t: ExecutionContext, name: string, place: ListenOptions): Promise<Worker> {
  const file = new URL('../fixtures/shares-listener.mjs', import.meta.url)
  const worker = new Worker(file, { workerData: { name, place } })
  t.teardown(() => worker.terminate())
  await once(worker, 'message')
  return worker
}

/** Who answers so many connections, one after the other. */
async function whoAnswers(target: DialOptions, count: number): Promise<readonly string[]> {
  const dialer = new Dialer({ framing })
  const names: string[] = []
  for (let index = 0; index < count; index += 1) {
    const connection = await dialer.dial(target)
    names.push((await connection.call('who')).toString())
    await gone(connection)
  }
  return names
}

function tally(names: readonly string[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

test('servers of several threads share a port, and are dealt its connections in turn', async (t) => {
  const first = await listen(t, 'main', { host, port: 0, shared: true })
  const place = { host, port: portOf(first), shared: true }
  await Promise.all(['one', 'two', 'three'].map((name) => listenInWorker(t, name, place)))
  t.deepEqual(tally(await whoAnswers(place, 20)), { main: 5, one: 5, two: 5, three: 5 })
})

test('a shared socket stays until the last server closes, whoever opened it', async (t) => {
  const first = await listen(t, 'first', { host, port: 0, shared: true })
  const place = { host, port: portOf(first), shared: true }
  const second = await listen(t, 'second', place)
  t.deepEqual(second.address(), first.address())
  await first.close()
  t.is(first.address(), null)
  t.deepEqual(tally(await whoAnswers(place, 4)), { second: 4 })
  await second.close()
  t.is(codeOf(await rejection(new Dialer({ framing }).dial(place))), 'ECONNREFUSED')
  const third = await listen(t, 'third', place)
  t.deepEqual(tally(await whoAnswers(place, 2)), { third: 2 })
  await third.close()
})

test('a worker that is terminated leaves its part to the others', async (t) => {
  const first = await listen(t, 'main', { host, port: 0, shared: true })
  const place = { host, port: portOf(first), shared: true }
  const worker = await listenInWorker(t, 'worker', place)
  t.deepEqual(tally(await whoAnswers(place, 4)), { main: 2, worker: 2 })
  await worker.terminate()
  t.deepEqual(tally(await whoAnswers(place, 4)), { main: 4 })
})

test('a socket that only a terminated worker had is closed', async (t) => {
  const first = await listen(t, 'main', { host, port: 0, shared: true })
  const place = { host, port: portOf(first), shared: true }
  const worker = await listenInWorker(t, 'worker', place)
  await first.close()
  await worker.terminate()
  t.is(codeOf(await rejection(new Dialer({ framing }).dial(place))), 'ECONNREFUSED')
})

test('the file of a shared unix socket goes with the last server', async (t) => {
  const path = socketPath(t)
  const first = await listen(t, 'first', { path, shared: true })
  const second = await listen(t, 'second', { path, shared: true })
  t.deepEqual(tally(await whoAnswers({ path }, 4)), { first: 2, second: 2 })
  await first.close()
  t.true(existsSync(path))
  t.deepEqual(tally(await whoAnswers({ path }, 2)), { second: 2 })
  await second.close()
  t.false(existsSync(path))
})

test('who does not ask to share is refused a shared port, and the other way round', async (t) => {
  const shared = await listen(t, 'shared', { host, port: 0, shared: true })
  t.is(codeOf(await rejection(listen(t, 'own', { host, port: portOf(shared) }))), 'EADDRINUSE')
  const own = await listen(t, 'own', { host, port: 0 })
  t.is(codeOf(await rejection(listen(t, 'shared', { host, port: portOf(own), shared: true }))), 'EADDRINUSE')
})

test('all pollers of a server have their part of a shared socket', async (t) => {
  const server = createServer({ framing, pollers: 2 }, () => 'pollers')
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0, shared: true })
  const place = { host, port: portOf(server), shared: true }
  await listen(t, 'inline', place)
  t.deepEqual(tally(await whoAnswers(place, 6)), { pollers: 4, inline: 2 })
})

test('a descriptor cannot be shared', async (t) => {
  const place = { fd: 0, shared: true } as unknown as ListenOptions
  t.is(codeOf(await rejection(listen(t, 'descriptor', place))), 'ERR_INVALID_ARG_VALUE')
})
