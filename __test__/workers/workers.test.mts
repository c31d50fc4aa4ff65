import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  delimiter,
  type ServerOptions,
  type WorkersOptions,
} from '../../dist/index.mjs'
import { Inbox, nextTurn, until } from '../support/deferred.mjs'
import { frame, frames, pattern, unframe } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, portOf, rejection } from '../support/netpoll.mjs'
import { quietTurns } from '../support/streams.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

const host = '127.0.0.1'
const module = new URL('../fixtures/handler.mjs', import.meta.url)

type Options = Omit<Partial<ServerOptions>, 'workers'> & { readonly workers?: Partial<WorkersOptions> }

/** Memory that the handlers of a test wait by: cell 0 counts who has begun, the others are gates. */
class Gate {
  readonly cells = new Int32Array(new SharedArrayBuffer(64))

  open(cell: number): void {
    Atomics.store(this.cells, cell, 1)
    Atomics.notify(this.cells, cell)
  }

  async begun(count: number): Promise<void> {
    while (Atomics.load(this.cells, 0) < count) await nextTurn()
  }
}

/** A server with workers, on a port of its own. */
async function serveBy(t: ExecutionContext, { workers, ...options }: Options = {}, data?: unknown) {
  const gate = new Gate()
  // Nobody waits for ever, whatever fails.
  t.teardown(() => {
    for (let cell = 1; cell < gate.cells.length; cell += 1) gate.open(cell)
  })
  const workerData = { gate: gate.cells, data }
  const server = createServer({
    framing,
    ...options,
    workers: { module, threads: 2, workerData, ...workers },
  } as ServerOptions)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0 })
  return { server, port: portOf(server), gate }
}

/** A file with such a module, gone with the test. */
function moduleOf(t: ExecutionContext, source: string, name = 'handler.mjs'): URL {
  const path = join(dirname(socketPath(t)), name)
  writeFileSync(path, source)
  return pathToFileURL(path)
}

test('requests are handled in other threads, and their replies come back', async (t) => {
  const { port, server } = await serveBy(t)
  const client = await dial(t, { host, port })
  t.not((await client.call('thread:')).toString(), '0')
  t.is((await client.call('x')).toString(), 'x')
  t.is((await client.call('list:abc')).toString(), '[abc]')
  t.is((await client.call('async:later')).toString(), 'later')
  // A worker sends a reply, and then takes note that it has done with the request.
  while (server.stats().workers?.running !== 0) await nextTurn()
  t.like(server.stats(), { requests: 4, workers: { queued: 0, running: 0, requests: 4 } })
})

for (const pollers of [0, 1, 2]) {
  test(`replies leave in the order of requests, whichever worker is first: ${pollers} pollers`, async (t) => {
    const { port, gate } = await serveBy(t, { pollers })
    const peer = await connectPeer(t, { port })
    const all = frames('wait:1', 'a', 'b', 'async:c', 'd')
    await peer.write(all)
    await gate.begun(1)
    // The other worker has handled the rest once it answers somebody else.
    const other = await dial(t, { host, port })
    await other.call('x')
    gate.open(1)
    const expected = frames('1', 'a', 'b', 'c', 'd')
    t.deepEqual(await peer.read(expected.length), expected)
  })

  test(`many connections get their own replies: ${pollers} pollers`, async (t) => {
    const { port } = await serveBy(t, { pollers, workers: { concurrentTasksPerWorker: 7, maxQueue: 5 } })
    await Promise.all(
      Array.from({ length: 8 }, async (_, seed) => {
        const client = await dial(t, { host, port })
        const messages = Array.from({ length: 300 }, (_, index) => pattern(index * 7, seed * 1000 + index))
        const answers = await Promise.all(messages.map((message) => client.call(message)))
        t.true(answers.every((answer, index) => answer.equals(messages[index] as Buffer)))
      }),
    )
  })
}

test('unordered replies leave as they are ready', async (t) => {
  const { port, gate } = await serveBy(t, { ordered: false })
  const peer = await connectPeer(t, { port })
  await peer.write(frames('wait:1', 'quick'))
  t.deepEqual(await peer.read(frame('quick').length), frame('quick'))
  gate.open(1)
  t.deepEqual(await peer.read(frame('1').length), frame('1'))
})

test('a handler that returns nothing sends nothing', async (t) => {
  const { port } = await serveBy(t)
  const peer = await connectPeer(t, { port })
  await peer.write(frames('nothing:', 'null:', 'x'))
  t.deepEqual(await peer.read(5), frame('x'))
})

test('requests and replies may be large', async (t) => {
  const { port } = await serveBy(t)
  const client = await dial(t, { host, port })
  const message = pattern(16 * 1024 * 1024)
  t.true((await client.call(message)).equals(message))
  t.true((await client.call(`size:${message.length}`)).equals(Buffer.alloc(message.length, 7)))
})

test('a worker makes replies where they are sent from', async (t) => {
  const { port } = await serveBy(t)
  const client = await dial(t, { host, port })
  for (const length of [0, 1, 1_000, 32_768, 1_000_000]) {
    const calls = [1, 2, 3, 4].map(() => client.call(`allocate:${length}`))
    for (const reply of await Promise.all(calls)) t.true(reply.equals(Buffer.alloc(length, 7)))
  }
})

test('a worker is told which connection a request is of', async (t) => {
  const { port } = await serveBy(t)
  const [one, other] = [await dial(t, { host, port }), await dial(t, { host, port })]
  const names = await Promise.all([one, one, other, other].map((client) => client.call('connection:')))
  const [first, again, second, once] = names.map(String)
  t.is(first, again)
  t.is(second, once)
  t.not(first, second)
})

test('workers get their data, and requests do not see the contexts of others', async (t) => {
  const { port } = await serveBy(t, { workers: { threads: 1 } }, { of: 'the user' })
  const client = await dial(t, { host, port })
  t.deepEqual(JSON.parse((await client.call('data:')).toString()), { of: 'the user' })
  const seen = await Promise.all(['storage:a', 'storage:b', 'storage:c'].map((m) => client.call(m)))
  t.deepEqual(seen.map(String), ['undefined', 'undefined', 'undefined'])
})

test('what a worker keeps of requests stays as it is', async (t) => {
  const { port } = await serveBy(t, { workers: { threads: 1 } })
  const client = await dial(t, { host, port })
  const messages = Array.from({ length: 50 }, (_, index) =>
    Buffer.concat([Buffer.from('keep:'), pattern(5_000, index)]),
  )
  for (const message of messages) await client.call(message)
  for (let round = 0; round < 200; round += 1) await client.call(pattern(100_000, round))
  t.true((await client.call('kept:')).equals(Buffer.concat(messages)))
})

test('sticky: requests of a connection come to one worker', async (t) => {
  const { port, server } = await serveBy(t, { workers: { threads: 3, loadBalance: 'sticky' } })
  // A connection keeps its worker as long as the workers are the same. The server listens with the first of them.
  await until(() => server.stats().workers?.threads === 3)
  const threads = new Set<string>()
  for (let index = 0; index < 12; index += 1) {
    const client = await dial(t, { host, port })
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.call('thread:')))
    const of = new Set(answers.map(String))
    t.is(of.size, 1)
    for (const thread of of) threads.add(thread)
  }
  t.true(threads.size > 1)
})

test('roundRobin: one worker after the other', async (t) => {
  const { port, server } = await serveBy(t, { workers: { threads: 2, loadBalance: 'roundRobin' } })
  await until(() => server.stats().workers?.threads === 2)
  const client = await dial(t, { host, port })
  const threads: string[] = []
  for (let round = 0; round < 6; round += 1) {
    threads.push((await client.call('thread:')).toString())
    // A worker sends a reply, and has room again only once it has noted that it is done.
    await until(() => server.stats().workers?.running === 0)
  }
  t.is(new Set(threads).size, 2)
  t.deepEqual(threads.slice(2), threads.slice(0, 4))
})

test('maxQueue: nothing is dropped while workers are busy', async (t) => {
  const { port, server, gate } = await serveBy(t, { workers: { threads: 1, maxQueue: 3 } })
  const peer = await connectPeer(t, { port })
  const messages = Array.from({ length: 500 }, (_, index) => `message ${index}`)
  await peer.write(frames('wait:1', ...messages))
  await gate.begun(1)
  await quietTurns()
  const { queued = 0 } = server.stats().workers ?? {}
  t.true(queued <= 3 + 64, `${queued} wait`)
  gate.open(1)
  const expected = frames('1', ...messages)
  t.deepEqual(unframe(await peer.read(expected.length)).map(String), ['1', ...messages])
})

test('threads are started while requests wait, and end when they have nothing to do', async (t) => {
  const { port, server, gate } = await serveBy(t, {
    workers: { threads: 2, minThreads: 1, maxThreads: 3, idleTimeout: 50 },
    onError: () => t.fail(),
  })
  const threads = (): number => server.stats().workers?.threads ?? 0
  t.is(threads(), 1)
  const client = await dial(t, { host, port })
  const calls = [1, 2, 3, 4].map((cell) => client.call(`wait:${cell}`))
  await gate.begun(3)
  t.is(threads(), 3)
  for (const cell of [1, 2, 3, 4]) gate.open(cell)
  t.deepEqual((await Promise.all(calls)).map(String), ['1', '2', '3', '4'])
  while (threads() > 1) await nextTurn()
  t.is((await client.call('x')).toString(), 'x')
})

for (const [request, expected] of [
  ['throw:', 'thrown'],
  ['reject:', 'rejected'],
  ['rubbish:', 'A handler returns bytes (Uint8Array), a string, a list of them, or nothing'],
  ['textless:', '{ toString: [Function: toString] }'],
] as const) {
  test(`a handler that fails closes its connection alone, after the replies before: ${request}`, async (t) => {
    const errors = new Inbox<{ readonly error: unknown; readonly connection: Connection | undefined }>()
    const { port } = await serveBy(t, { onError: (error, connection) => errors.push({ error, connection }) })
    const good = await dial(t, { host, port })
    const bad = await connectPeer(t, { port })
    await bad.write(frames('before', request, 'after'))
    t.deepEqual(await bad.readToEnd(), frame('before'))
    const { error, connection } = await errors.take()
    t.is((error as Error).message, expected)
    t.not(connection, undefined)
    if (request === 'throw:') t.is(codeOf(error), 'ERR_OF_HANDLER')
    if (request === 'rubbish:') t.is(codeOf(error), 'ERR_INVALID_REPLY')
    t.is((await good.call('x')).toString(), 'x')
  })
}

for (const request of ['exit:0', 'exit:3', 'later:']) {
  test(`a worker that dies is replaced, and its request's connection closes: ${request}`, async (t) => {
    const errors = new Inbox<unknown>()
    const { port, server } = await serveBy(t, {
      workers: { threads: 1 },
      onError: (error) => errors.push(error),
    })
    const good = await dial(t, { host, port })
    const bad = await connectPeer(t, { port })
    await bad.write(frames('before'))
    t.deepEqual(await bad.read(frame('before').length), frame('before'))
    await bad.write(frames(request, 'after'))
    t.is((await bad.readToEnd()).length, 0)
    t.true(/exit code|thrown later/.test(String(await errors.take())))
    t.is((await good.call('x')).toString(), 'x')
    t.is(server.stats().workers?.threads, 1)
  })
}

test('lostReply answers what a worker that dies has left, and the connection goes on', async (t) => {
  const { port } = await serveBy(t, {
    workers: { threads: 1, lostReply: ['lost', ' and gone'] },
    onError: () => {},
  })
  const client = await dial(t, { host, port })
  const calls = ['a', 'exit:1', 'b', 'later:', 'c'].map((message) => client.call(message))
  const answers = (await Promise.all(calls)).map(String)
  t.deepEqual(answers, ['a', 'lost and gone', 'b', 'lost and gone', 'c'])
})

test('a server closes when what workers handle is done, and by force before', async (t) => {
  const first = await serveBy(t)
  const peer = await connectPeer(t, { port: first.port })
  await peer.write(frames('wait:1', 'x'))
  await first.gate.begun(1)
  const closing = first.server.close()
  first.gate.open(1)
  t.deepEqual(await peer.readToEnd(), frames('1', 'x'))
  peer.end()
  await closing
  t.is(first.server.stats().requests, 2)
  const second = await serveBy(t)
  const other = await connectPeer(t, { port: second.port })
  await other.write(frame('wait:1'))
  await second.gate.begun(1)
  await second.server.close({ timeout: 1 })
  t.is((await other.readToEnd()).length, 0)
})

test('a server that is closed while its workers start rejects listen', async (t) => {
  const never = moduleOf(
    t,
    'setInterval(() => {}, 1000)\nawait new Promise(() => {})\nexport default () => {}',
  )
  const server = createServer({ framing, workers: { module: never, threads: 2 } })
  const listening = rejection(server.listen({ host, port: 0 }))
  await nextTurn()
  await server.close()
  t.is(codeOf(await listening), 'ERR_SERVER_CLOSED')
})

for (const [title, source, expected] of [
  ['throws', 'throw new Error("of the module")', /of the module/],
  ['has no default export', 'export const other = 1', /is no function/],
  ['does not parse', 'export default (', /./],
  ['never finishes loading', 'await new Promise(() => {})', /exit code/],
] as const) {
  test(`listen rejects when the module ${title}`, async (t) => {
    const server = createServer({ framing, workers: { module: moduleOf(t, source), threads: 2 } })
    t.regex(String(await rejection(server.listen({ host, port: 0 }))), expected)
    t.false(server.listening)
  })
}

test('listen rejects when there is no such module, and may be called again', async (t) => {
  const path = join(dirname(socketPath(t)), 'late.mjs')
  const server = createServer({ framing, workers: { module: path, threads: 1 } })
  t.teardown(() => server.close({ timeout: 0 }))
  t.regex(String(await rejection(server.listen({ host, port: 0 }))), /Cannot find module/)
  writeFileSync(path, 'export default () => "here"')
  await server.listen({ host, port: 0 })
  const client = await dial(t, { host, port: portOf(server) })
  t.is((await client.call('x')).toString(), 'here')
})

test('a CommonJS module serves as well', async (t) => {
  for (const source of [
    'module.exports = () => "cjs"',
    'exports.__esModule = true; exports.default = () => "cjs"',
  ]) {
    const server = createServer({
      framing,
      workers: { module: moduleOf(t, source, 'handler.cjs'), threads: 1 },
    })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host, port: 0 })
    const client = await dial(t, { host, port: portOf(server) })
    t.is((await client.call('x')).toString(), 'cjs')
  }
})

const source = 'export default (request) => String(request).concat(" by data")'
const inBase64 = `data:text/javascript;base64,${Buffer.from(source).toString('base64')}`

for (const [title, inlined] of [
  ['as text', `data:text/javascript,${encodeURIComponent(source)}`],
  ['in base64', inBase64],
  ['as a URL', new URL(inBase64)],
  // What is asked is not what it is an instance of.
  ['as a URL of another realm', { href: inBase64, protocol: 'data:' } as URL],
  [
    'of a hundred thousand characters',
    `data:text/javascript,${encodeURIComponent(source)}//${'x'.repeat(100_000)}`,
  ],
] as const) {
  test(`the module may be a data: URL, ${title}`, async (t) => {
    const { port } = await serveBy(t, { workers: { module: inlined } })
    const client = await dial(t, { host, port })
    t.is((await client.call('x')).toString(), 'x by data')
  })
}

test('the URL of a module keeps what follows its path, however it is given', async (t) => {
  const url = moduleOf(t, 'export default () => import.meta.url', 'own name.mjs')
  url.search = '?version=2'
  for (const given of [url, url.href]) {
    const { port } = await serveBy(t, { workers: { module: given } })
    const client = await dial(t, { host, port })
    t.is((await client.call('x')).toString(), url.href)
  }
})

test('what is wrong with a data: URL is said without all of it', async (t) => {
  const given = `data:text/javascript,export const other = 1//${'x'.repeat(100_000)}`
  const server = createServer({ framing, workers: { module: given, threads: 1 } })
  const error = await rejection(server.listen({ host, port: 0 }))
  t.is(String(error), 'TypeError: The default export of the data: URL is no function')
})

for (const given of [
  './relative.mjs',
  '../relative.mjs',
  'relative.mjs',
  'package/handler',
  '#handler',
  '?',
]) {
  test(`a module that is neither a URL nor an absolute path is refused: ${given}`, (t) => {
    const problem = 'must be an absolute path or a URL, such as import.meta.url or a data: URL'
    t.throws(() => createServer({ framing, workers: { module: given } }), {
      instanceOf: TypeError,
      code: 'ERR_INVALID_ARG_VALUE',
      message: new RegExp(`^The "options.workers.module" argument ${problem}\\. Received `),
    })
  })
}

test('a module of a scheme that the loader does not know is refused by the loader', async (t) => {
  for (const given of ['https://localhost/handler.mjs', new URL('https://localhost/handler.mjs')]) {
    const server = createServer({ framing, workers: { module: given, threads: 1 } })
    t.regex(String(await rejection(server.listen({ host, port: 0 }))), /scheme|https/)
  }
})

for (const [workers, code] of [
  [{}, 'ERR_INVALID_ARG_TYPE'],
  [{ module: { href: 5, protocol: 'file:' } }, 'ERR_INVALID_ARG_TYPE'],
  [{ module: null }, 'ERR_INVALID_ARG_TYPE'],
  [{ module: '' }, 'ERR_INVALID_ARG_TYPE'],
  [{ module: './relative.mjs' }, 'ERR_INVALID_ARG_VALUE'],
  [{ module, threads: 0 }, 'ERR_INVALID_ARG_VALUE'],
  [{ module, threads: '2' }, 'ERR_INVALID_ARG_TYPE'],
  [{ module, minThreads: 3, maxThreads: 2 }, 'ERR_INVALID_ARG_VALUE'],
  [{ module, maxQueue: -1 }, 'ERR_INVALID_ARG_VALUE'],
  [{ module, concurrentTasksPerWorker: 1_001 }, 'ERR_INVALID_ARG_VALUE'],
  [{ module, loadBalance: 'any' }, 'ERR_INVALID_ARG_TYPE'],
  [{ module, lostReply: 5 }, 'ERR_INVALID_ARG_TYPE'],
] as const) {
  test(`wrong options of workers are refused: ${JSON.stringify(workers)}`, (t) => {
    const options = { framing, workers } as unknown as { framing: typeof framing }
    t.throws(() => createServer(options), { instanceOf: TypeError, code })
  })
}

test('workers go on while the thread of their server is blocked, and connections come and go', async (t) => {
  const outcome = await runFixture(t, 'blocked-thread')
  t.deepEqual(outcome, { code: 0, signal: null, stdout: 'served\n', stderr: '' })
})

for (const threads of [1, 2, 3]) {
  test(`a list that takes more commands than there is room for is sent as it is: ${threads} workers`, async (t) => {
    const source = `export default (request) => {
      const count = Number(request.subarray(0, 5).toString())
      return [...Array.from({ length: count }, () => request), 'AAAA', 'BBBB', request, 'CCCC']
    }`
    const workers = { module: moduleOf(t, source), threads }
    // Without a header nothing of the message has left the arena before the strings are copied there.
    const lines = delimiter('\n')
    const { port } = await serveBy(t, { workers, framing: lines })
    const client = await dial(t, { host, port }, { framing: lines })
    for (const count of [4_096, 4_095, 4_094, 4_093, 4_097]) {
      const request = Buffer.from(String(count).padStart(5).padEnd(1_000, 'x'))
      const views = Array.from({ length: count }, () => request)
      const reply = await client.call(request)
      t.true(reply.equals(Buffer.concat([...views, Buffer.from('AAAABBBB'), request, Buffer.from('CCCC')])))
    }
  })
}
