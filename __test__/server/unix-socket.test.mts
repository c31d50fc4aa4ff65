import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer as createNetServer } from 'node:net'
import { dirname } from 'node:path'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'

import { createServer, Dialer, NetpollError, type Server } from '../../dist/index.mjs'
import { until } from '../support/deferred.mjs'
import { codeOf, dial, framing, gone, rejection } from '../support/netpoll.mjs'
import { isOverTls } from '../support/over-tls/record.mjs'
import { quietTurns } from '../support/streams.mjs'
import { socketPath } from '../support/system.mjs'

function server(t: ExecutionContext, reply = 'reply'): Server {
  const made = createServer({ framing }, () => reply)
  t.teardown(() => made.close({ timeout: 0 }))
  return made
}

/** Leaves a socket at `path` that nobody listens on: its process was killed. */
async function leaveDeadSocket(path: string): Promise<void> {
  const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
  const child = spawn(process.execPath, ['-e', script, path], { stdio: 'ignore' })
  await new Promise((resolve) => child.once('close', resolve))
}

test('the socket’s file is there while the server listens, and gone afterwards', async (t) => {
  const path = socketPath(t)
  const first = server(t)
  await first.listen({ path })
  t.true(statSync(path).isSocket())
  await first.close()
  t.false(existsSync(path))
})

test('a path with a live socket is refused, and its server goes on', async (t) => {
  const path = socketPath(t)
  await server(t, 'first').listen({ path })
  const before = statSync(path).ino
  const error = await rejection(server(t, 'second').listen({ path }))
  t.true(error instanceof NetpollError)
  const { code, syscall, address, port, message } = error as NetpollError
  t.deepEqual([code, syscall, address, port], ['EADDRINUSE', 'listen', path, undefined])
  t.is(message, `listen EADDRINUSE ${path}`)
  t.is(statSync(path).ino, before)
  t.is((await (await dial(t, { path })).call('who')).toString(), 'first')
})

test('a path where another program listens is refused, too', async (t) => {
  const path = socketPath(t)
  const other = createNetServer((socket) => socket.end('other'))
  await new Promise<void>((resolve) => other.listen(path, resolve))
  t.teardown(() => other.close())
  t.is(codeOf(await rejection(server(t).listen({ path }))), 'EADDRINUSE')
  t.true(statSync(path).isSocket())
})

test('a dead socket is replaced', async (t) => {
  const path = socketPath(t)
  await leaveDeadSocket(path)
  t.true(statSync(path).isSocket())
  await server(t, 'replaced').listen({ path })
  t.is((await (await dial(t, { path })).call('who')).toString(), 'replaced')
})

test('a dial to a dead socket is refused', async (t) => {
  const path = socketPath(t)
  await leaveDeadSocket(path)
  t.is(codeOf(await rejection(dial(t, { path }))), 'ECONNREFUSED')
})

test('a thousand dials at once are served, although so many do not fit into the backlog', async (t) => {
  const path = socketPath(t)
  const made = createServer({ framing }, (request) => request)
  t.teardown(() => made.close({ timeout: 0 }))
  await made.listen({ path, backlog: 10 })
  // A thousand handshakes of TLS take their time.
  const dialer = new Dialer({ framing, ...(isOverTls && { connectTimeout: 0 }) })
  const connections = await Promise.all(Array.from({ length: 1_000 }, () => dialer.dial({ path })))
  const replies = await Promise.all(connections.map((connection, index) => connection.call(`${index}`)))
  t.deepEqual(
    replies.map(String),
    Array.from({ length: 1_000 }, (_, index) => `${index}`),
  )
  t.is(dialer.stats().failed, 0)
  await Promise.all(connections.map((connection) => connection.close()))
})

test('a dial to a full backlog ends with its time, its signal or its server', async (t) => {
  const path = socketPath(t)
  const worker = new Worker(new URL('../fixtures/never-accepts.mjs', import.meta.url), {
    workerData: { path },
  })
  t.teardown(() => worker.terminate())
  await once(worker, 'message')
  const dialer = new Dialer({ framing })
  const fill = (): Promise<NetpollError> =>
    rejection(
      (async () => {
        for (;;)
          await dialer
            .dial({ path, connectTimeout: 50 })
            .then((connection) => t.teardown(() => gone(connection)))
      })(),
    ) as Promise<NetpollError>
  t.is(codeOf(await fill()), 'ERR_DIAL_TIMEOUT')
  const controller = new AbortController()
  const reason = new Error('enough')
  const waiting = dialer.dial({ path, connectTimeout: 0, signal: controller.signal })
  const left = dialer.dial({ path, connectTimeout: 0 })
  await quietTurns()
  controller.abort(reason)
  t.is(await rejection(waiting), reason)
  await worker.terminate()
  t.is(codeOf(await rejection(left)), 'ENOENT')
})

test('a file that is no socket is refused and left as it is', async (t) => {
  const path = socketPath(t)
  writeFileSync(path, 'precious')
  t.is(codeOf(await rejection(server(t).listen({ path }))), 'EADDRINUSE')
  t.is(readFileSync(path, 'utf8'), 'precious')
})

test('a directory is refused and left as it is', async (t) => {
  const path = socketPath(t)
  mkdirSync(path)
  t.is(codeOf(await rejection(server(t).listen({ path }))), 'EADDRINUSE')
  t.true(statSync(path).isDirectory())
})

test('a link to a file that is no socket is refused, and both are left as they are', async (t) => {
  const path = socketPath(t)
  writeFileSync(`${path}.target`, 'precious')
  symlinkSync(`${path}.target`, path)
  t.is(codeOf(await rejection(server(t).listen({ path }))), 'EADDRINUSE')
  t.true(lstatSync(path).isSymbolicLink())
  t.is(readFileSync(path, 'utf8'), 'precious')
})

test('a path in a directory that does not exist is refused', async (t) => {
  const path = `${socketPath(t)}/nowhere/server.sock`
  const error = await rejection(server(t).listen({ path }))
  t.is(codeOf(error), 'ENOENT')
  t.is((error as NetpollError).address, path)
})

test('a path that is too long is refused rather than cut off', async (t) => {
  const path = socketPath(t, 'x'.repeat(108))
  const error = await rejection(server(t).listen({ path }))
  t.true(error instanceof NetpollError)
  t.is(codeOf(error), 'ENAMETOOLONG')
  t.is((error as NetpollError).syscall, 'listen')
  // The longest one that fits is served.
  const fitting = path.slice(0, 107)
  await server(t).listen({ path: fitting })
  t.is((await (await dial(t, { path: fitting })).call('who')).toString(), 'reply')
})

// On Linux one that begins with a zero byte is no path: see abstract-names.test.mts.
const kinds = process.platform === 'linux' ? (['contains'] as const) : (['begins with', 'contains'] as const)
for (const kind of kinds) {
  test(`a path that ${kind} a zero byte is refused, and leaves nothing listening`, async (t) => {
    const whole = socketPath(t)
    const path = kind === 'contains' ? `${whole}\0cut` : `\0${whole}`
    const made = server(t)
    await t.throwsAsync(made.listen({ path }), { code: 'ERR_INVALID_ARG_VALUE' })
    await t.throwsAsync(new Dialer().dial({ path }), { code: 'ERR_INVALID_ARG_VALUE' })
    t.false(made.listening)
    t.is(made.address(), null)
    t.false(existsSync(whole))
  })
}

test('close leaves the socket of a successor alone', async (t) => {
  const path = socketPath(t)
  const first = server(t, 'first')
  await first.listen({ path })
  rmSync(path)
  await server(t, 'second').listen({ path })
  await first.close()
  t.is((await (await dial(t, { path })).call('who')).toString(), 'second')
})

test('close leaves alone what was moved to its path', async (t) => {
  const path = socketPath(t)
  const first = server(t)
  await first.listen({ path })
  rmSync(path)
  writeFileSync(`${path}.new`, 'precious')
  renameSync(`${path}.new`, path)
  await first.close()
  t.is(readFileSync(path, 'utf8'), 'precious')
})

test('close ends a server whose file cannot be removed, and onError is told of the file', async (t) => {
  const path = socketPath(t, 'folder/server.sock')
  const folder = dirname(path)
  mkdirSync(folder)
  const errors: unknown[] = []
  const made = createServer({ framing, onError: (error) => errors.push(error) }, (request) => request)
  await made.listen({ path })
  const client = await dial(t, { path })
  renameSync(folder, `${folder}.old`)
  symlinkSync(folder, folder)
  await made.close()
  t.false(made.listening)
  // The end of TLS is read before the end.
  if (isOverTls) await until(() => !client.isActive)
  t.is(codeOf(await rejection(client.call('late'))), 'ERR_CONN_CLOSED')
  t.is(codeOf(await rejection(dial(t, { path: `${folder}.old/server.sock` }))), 'ECONNREFUSED')
  t.true(errors.every((error) => error instanceof NetpollError))
  t.deepEqual(errors.map(codeOf), ['ELOOP'])
})

test('a path may be listened on again once its server is closed', async (t) => {
  const path = socketPath(t)
  for (const reply of ['first', 'second', 'third']) {
    const made = server(t, reply)
    await made.listen({ path })
    const client = await dial(t, { path })
    t.is((await client.call('who')).toString(), reply)
    await Promise.all([client.close(), made.close()])
  }
  t.false(existsSync(path))
})

test('the ends of a unix socket’s connections have paths for addresses', async (t) => {
  const path = socketPath(t)
  const addresses: unknown[] = []
  const made = createServer({ framing }, (request, connection) => {
    addresses.push(connection.localAddress, connection.remoteAddress)
    return request
  })
  t.teardown(() => made.close({ timeout: 0 }))
  await made.listen({ path })
  const client = await dial(t, { path })
  await client.call('x')
  t.deepEqual(addresses, [path, ''])
  t.deepEqual([client.localAddress, client.remoteAddress], ['', path])
})
