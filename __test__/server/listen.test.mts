import { spawn } from 'node:child_process'
import { getEventListeners, once } from 'node:events'
import { closeSync, existsSync, fstatSync, openSync, renameSync, statSync } from 'node:fs'
import { createServer as createNetServer, type Server as NetServer, type Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import {
  type Connection,
  createServer,
  type ListenOptions,
  NetpollError,
  type Server,
} from '../../dist/index.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, framing, portOf, rejection, serve } from '../support/netpoll.mjs'
import { Peer, type Target } from '../support/peer.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

const host = '127.0.0.1'
const type = 'ERR_INVALID_ARG_TYPE'
/** Only Linux gives every socket of a port its share. */
const balanced = process.platform === 'linux' ? test : test.skip
const value = 'ERR_INVALID_ARG_VALUE'

function server(t: ExecutionContext, reply?: string): Server {
  const made = createServer({ framing }, (request) => reply ?? request)
  t.teardown(() => made.close({ timeout: 0 }))
  return made
}

/** Who answers a connection of its own. */
async function whoAnswers(target: Target): Promise<string> {
  const peer = await Peer.connect(target)
  await peer.write(frame('who'))
  const length = (await peer.read(4)).readUInt32BE()
  const who = (await peer.read(length)).toString()
  peer.destroy()
  await peer.closed
  return who
}

/** The descriptor of what `node:net` has opened. */
function descriptorOf(owner: NetServer | Socket): number {
  const { _handle: handle } = owner as unknown as { readonly _handle: { readonly fd: number } }
  return handle.fd
}

const wrongs: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ host, port: 0, reusePort: 1 }, type],
  [{ port: 0, ipv6Only: 'true' }, type],
  [{ host, port: 0, signal: {} }, type],
  [{ path: '/nowhere/x', mode: '660' }, type],
  [{ path: '/nowhere/x', mode: -1 }, value],
  [{ path: '/nowhere/x', mode: 0o1000 }, value],
  [{ path: '/nowhere/x', mode: 6.5 }, value],
  [{ fd: '3' }, type],
  [{ fd: -1 }, value],
  [{ fd: 3.5 }, value],
  [{ port: 0, path: '/nowhere/x' }, value],
  [{ fd: 3, port: 0 }, value],
  [{ fd: 3, path: '/nowhere/x' }, value],
  [{ fd: 3, backlog: 1 }, value],
  [{ host, port: 0, mode: 0o600 }, value],
  [{ path: '/nowhere/x', host }, value],
  [{ path: '/nowhere/x', reusePort: true }, value],
  [{ path: '/nowhere/x', ipv6Only: false }, value],
]

for (const [options, code] of wrongs) {
  test(`to listen with ${JSON.stringify(options)} is refused, and spoils nothing`, async (t) => {
    const made = server(t)
    const listening = made.listen(options as unknown as ListenOptions)
    await t.throwsAsync(listening, { instanceOf: TypeError, code })
    await made.listen({ host, port: 0 })
    t.true(made.listening)
  })
}

balanced('with reusePort several servers listen on one port, and each gets connections', async (t) => {
  const first = server(t, 'first')
  await first.listen({ host, port: 0, reusePort: true })
  const port = portOf(first)
  await server(t, 'second').listen({ host, port, reusePort: true })
  const answers = new Set<string>()
  while (answers.size < 2) answers.add(await whoAnswers({ host, port }))
  t.deepEqual([...answers].sort(), ['first', 'second'])
})

for (const [earlier, later] of [
  [true, false],
  [false, true],
] as const) {
  test(`a port with reusePort ${earlier} is in use for one with reusePort ${later}`, async (t) => {
    const first = server(t)
    await first.listen({ host, port: 0, reusePort: earlier })
    const port = portOf(first)
    const error = await rejection(server(t).listen({ host, port, reusePort: later }))
    t.true(error instanceof NetpollError)
    const { code, syscall, address, port: errorPort } = error as NetpollError
    t.deepEqual([code, syscall, address, errorPort], ['EADDRINUSE', 'listen', host, port])
  })
}

balanced('workers of node:cluster listen on one port with reusePort, and each serves', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'cluster')
  t.is(stderr, '')
  t.is(stdout, 'served by 1 and 2\nexit codes 0 and 0\n')
  t.is(code, 0)
})

test('cluster.disconnect() leaves a worker running, unless it closes its server', async (t) => {
  const outcome = await runFixture(t, 'cluster-disconnect')
  const stdout = 'closed, exit code 0\nstill served: x\n'
  t.deepEqual(outcome, { code: 0, signal: null, stdout, stderr: '' })
})

for (const everywhere of [undefined, '::']) {
  test(`with ipv6Only and the host ${everywhere} nobody is served over IPv4`, async (t) => {
    const families: unknown[] = []
    const onConnect = ({ remoteAddress }: Connection): void => {
      families.push(typeof remoteAddress === 'object' && remoteAddress.address)
    }
    const made = createServer({ framing, onConnect }, (request) => request)
    t.teardown(() => made.close({ timeout: 0 }))
    await made.listen({ port: 0, ipv6Only: true, ...(everywhere && { host: everywhere }) })
    const port = portOf(made)
    // Somebody else may listen there, but not this server.
    const stranger = await Peer.connect({ host, port }).catch(() => undefined)
    t.teardown(() => stranger?.destroy())
    t.is(await whoAnswers({ host: '::1', port }), 'who')
    t.deepEqual(families, ['::1'])
  })
}

/** Runs a server in a process of its own, over a descriptor that is closed here at once. */
async function serveDescriptor(t: ExecutionContext, listener: NetServer): Promise<() => Promise<string>> {
  const file = fileURLToPath(new URL('../fixtures/listen-descriptor.mjs', import.meta.url))
  const child = spawn(process.execPath, [file], {
    stdio: ['ignore', 'pipe', 'inherit', descriptorOf(listener)],
  })
  t.teardown(() => child.kill('SIGKILL'))
  listener.close()
  let stdout = ''
  const over = once(child, 'close')
  const listening = new Promise<void>((resolve) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString()
      if (stdout.includes('listening')) resolve()
    })
  })
  await Promise.race([listening, over])
  return async () => {
    await over
    return stdout
  }
}

test('a server takes a listening TCP descriptor over', async (t) => {
  const listener = createNetServer()
  await new Promise<void>((resolve) => listener.listen(0, host, resolve))
  const { port } = listener.address() as { readonly port: number }
  const output = await serveDescriptor(t, listener)
  t.is(await whoAnswers({ host, port }), 'who')
  const address = JSON.stringify({ address: host, family: 'IPv4', port })
  t.is(await output(), `listening ${address}\nnumber 3 is closed\nclosed\n`)
})

test('a server takes a listening unix descriptor over, and leaves its file', async (t) => {
  const path = socketPath(t)
  const listener = createNetServer()
  await new Promise<void>((resolve) => listener.listen(path, resolve))
  // Otherwise `node:net` removes it.
  const moved = `${path}.moved`
  renameSync(path, moved)
  const output = await serveDescriptor(t, listener)
  t.is(await whoAnswers({ path: moved }), 'who')
  t.is(await output(), `listening ${JSON.stringify(path)}\nnumber 3 is closed\nclosed\n`)
  t.true(existsSync(moved))
})

test('descriptors of other kinds are refused and stay as they are', async (t) => {
  const file = openSync('/dev/null', 'r')
  t.teardown(() => closeSync(file))
  const { port } = await serve(t, {}, (request) => request)
  const peer = await connectPeer(t, { host, port })
  const refusals = [
    [2 ** 31 - 1, 'EBADF'],
    [file, 'ENOTSOCK'],
    [descriptorOf(peer.socket), 'EINVAL'],
  ] as const
  for (const [fd, expected] of refusals) {
    const made = server(t)
    const error = await rejection(made.listen({ fd }))
    t.true(error instanceof NetpollError)
    t.deepEqual([codeOf(error), (error as NetpollError).syscall], [expected, 'listen'])
    t.false(made.listening)
  }
  t.true(fstatSync(file).isCharacterDevice())
  await peer.write(frame('still here'))
  t.deepEqual(await peer.read(14), frame('still here'))
})

test('an aborted signal keeps a server from listening, and says why', async (t) => {
  const made = server(t)
  const reason = new Error('too late')
  t.is(await rejection(made.listen({ host, port: 0, signal: AbortSignal.abort(reason) })), reason)
  t.false(made.listening)
  await made.listen({ host, port: 0 })
  t.true(made.listening)
})

test('a signal that is aborted while the name is looked up keeps the server from listening', async (t) => {
  const made = server(t)
  const controller = new AbortController()
  const listening = made.listen({ host: 'localhost', port: 0, signal: controller.signal })
  const reason = new Error('too late')
  controller.abort(reason)
  t.is(await rejection(listening), reason)
  t.false(made.listening)
  t.is(made.address(), null)
})

test('a signal closes the server as close does', async (t) => {
  const path = socketPath(t)
  const controller = new AbortController()
  const made = server(t)
  await made.listen({ path, signal: controller.signal })
  const peer = await connectPeer(t, { path })
  await peer.write(frame('x'))
  t.deepEqual(await peer.read(5), frame('x'))
  controller.abort()
  t.false(made.listening)
  t.false(existsSync(path))
  t.is((await peer.readToEnd()).length, 0)
  peer.end()
  await made.close()
  t.is(made.stats().connections, 0)
})

test('a signal is watched no longer than its server listens', async (t) => {
  const { signal } = new AbortController()
  const watchers = (): number => getEventListeners(signal, 'abort').length
  const made = server(t)
  await made.listen({ host, port: 0, signal })
  t.is(watchers(), 1)
  const refused = server(t)
  t.is(codeOf(await rejection(refused.listen({ host, port: portOf(made), signal }))), 'EADDRINUSE')
  t.is(watchers(), 1)
  await made.close()
  t.is(watchers(), 0)
})

for (const mode of [0o600, 0o660, 0o666, 0o777]) {
  test(`a unix socket of mode ${mode.toString(8)} has it whatever the umask`, async (t) => {
    const path = socketPath(t)
    const umask = process.umask(0o077)
    const listening = server(t).listen({ path, mode })
    process.umask(umask)
    await listening
    t.is(statSync(path).mode & 0o777, mode)
    t.is(await whoAnswers({ path }), 'who')
  })
}

test('without a mode a unix socket has what the umask leaves', async (t) => {
  const path = socketPath(t)
  const umask = process.umask(0o027)
  const listening = server(t).listen({ path })
  process.umask(umask)
  await listening
  t.is(statSync(path).mode & 0o777, 0o750)
})

test('a server removes its socket when the process has changed its directory meanwhile', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'relative-path')
  t.is(stderr, '')
  t.is(stdout, 'removed\n')
  t.is(code, 0)
})

test('servers that start at the same time on a dead socket’s path leave one of them there', async (t) => {
  const { code, stdout, stderr } = await runFixture(t, 'dead-socket-race')
  t.is(stderr, '')
  t.is(stdout, 'one of them\n'.repeat(5))
  t.is(code, 0)
})
