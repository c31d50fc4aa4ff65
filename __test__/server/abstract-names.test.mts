import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createNetServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'

import { createServer, Dialer, NetpollError, type FramedServerOptions } from '../../dist/index.mjs'
import { fillsAbstractNames } from '../../dist/native/unix-path.js'
import { nextTurn } from '../support/deferred.mjs'
import { frame } from '../support/frames.mjs'
import { codeOf, connectPeer, dial, framing, rejection } from '../support/netpoll.mjs'

/** Names without files are Linux's alone. */
const onLinux = process.platform === 'linux' ? test : test.skip

/** A name that no other test has, of so many bytes if that is said. */
function newName(text = '', length = 0): string {
  return `\0netpoll-${randomUUID()}${text}`.padEnd(length, 'x')
}

/** Whether a name is in use in this system. */
function isBound(name: string): boolean {
  // Zero bytes are shown as `@`.
  const shown = name.replaceAll('\0', '@')
  return readFileSync('/proc/net/unix', 'utf8').includes(shown)
}

function serverOf(t: ExecutionContext, options: Partial<FramedServerOptions> = {}) {
  const server = createServer({ framing, ...options }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  return server
}

for (const pollers of [0, 1, 2]) {
  onLinux(`servers and dialers take abstract names: ${pollers} pollers`, async (t) => {
    const path = newName()
    const ends: unknown[] = []
    const onConnect: FramedServerOptions['onConnect'] = ({ localAddress, remoteAddress }) =>
      void ends.push(localAddress, remoteAddress)
    const server = serverOf(t, { pollers, onConnect })
    await server.listen({ path })
    t.is(server.address(), path)
    const client = await dial(t, { path }, { pollers })
    t.is((await client.call('x')).toString(), 'x')
    t.deepEqual([client.remoteAddress, client.localAddress], [path, ''])
    t.deepEqual(ends, [path, ''])
    t.true(isBound(path))
    await client.close()
    await server.close()
    t.false(isBound(path))
    // The name is free again at once.
    const successor = serverOf(t, { pollers })
    await successor.listen({ path })
    t.is((await (await dial(t, { path })).call('y')).toString(), 'y')
  })

  onLinux(`clients of node:net reach a server by its abstract name: ${pollers} pollers`, async (t) => {
    const path = newName()
    await serverOf(t, { pollers }).listen({ path })
    const peer = await connectPeer(t, { path })
    await peer.write(frame('hello'))
    t.deepEqual(await peer.read(9), frame('hello'))
  })

  onLinux(`a server of node:net is dialed by its abstract name: ${pollers} pollers`, async (t) => {
    const path = newName()
    const server = createNetServer((socket) => socket.pipe(socket))
    server.listen(path)
    await once(server, 'listening')
    t.teardown(() => server.close())
    const client = await dial(t, { path }, { pollers })
    t.is((await client.call('x')).toString(), 'x')
    t.is(client.remoteAddress, path)
  })
}

for (const threads of [1, 2, 3]) {
  onLinux(`a server with workers listens at an abstract name: ${threads} threads`, async (t) => {
    const path = newName()
    const module = 'data:text/javascript,export default (request) => request'
    const server = createServer({ framing, workers: { module, threads } })
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ path })
    t.is((await (await dial(t, { path })).call('x')).toString(), 'x')
  })
}

onLinux('servers share a socket at an abstract name', async (t) => {
  const path = newName()
  const first = serverOf(t)
  const second = serverOf(t)
  await first.listen({ path, shared: true })
  await second.listen({ path, shared: true })
  t.deepEqual([first.address(), second.address()], [path, path])
  await first.close()
  t.is((await (await dial(t, { path })).call('x')).toString(), 'x')
  await second.close()
  t.false(isBound(path))
})

onLinux('a name with a live socket is refused, and one without any cannot be dialed', async (t) => {
  const path = newName()
  const nobody = await rejection(new Dialer({ framing }).dial({ path }))
  t.true(nobody instanceof NetpollError)
  t.deepEqual([codeOf(nobody), (nobody as NetpollError).address], ['ECONNREFUSED', path])
  await serverOf(t).listen({ path })
  for (const shared of [false, true]) {
    const { code, address, message } = (await rejection(serverOf(t).listen({ path, shared }))) as NetpollError
    t.deepEqual([code, address, message], ['EADDRINUSE', path, `listen EADDRINUSE ${path}`])
  }
  t.is((await (await dial(t, { path })).call('x')).toString(), 'x')
})

for (const [title, path] of [
  ['as long as can be', newName('', 108)],
  ['with letters of several bytes', newName('-größe-名前')],
  ['with zero bytes within', newName('\0in\0between')],
  ['with a slash', newName('/run/app.sock')],
  ['begun by two zero bytes', `\0${newName()}`],
  ['begun by three zero bytes', `\0\0${newName()}`],
] as const) {
  onLinux(`an abstract name may be ${title}`, async (t) => {
    const server = serverOf(t)
    await server.listen({ path })
    t.is(server.address(), path)
    t.is((await (await dial(t, { path })).call('x')).toString(), 'x')
    const peer = await connectPeer(t, { path })
    await peer.write(frame('y'))
    t.deepEqual(await peer.read(5), frame('y'))
  })
}

for (const pollers of [0, 1, 2]) {
  onLinux(`the empty abstract name may be dialed: ${pollers} pollers`, async (t) => {
    const path = '\0'
    const server = serverOf(t, { pollers })
    // It is one for the whole system: another test run may have it for a moment.
    while (!server.listening) {
      await server.listen({ path }).catch((error: unknown) => t.is(codeOf(error), 'EADDRINUSE'))
      await nextTurn()
    }
    const client = await dial(t, { path }, { pollers })
    t.is((await client.call('x')).toString(), 'x')
    t.is(client.remoteAddress, path)
    await client.close()
    await server.close()
  })
}

onLinux('a name that is too long is refused rather than cut off', async (t) => {
  const path = newName('', 109)
  t.is(codeOf(await rejection(serverOf(t).listen({ path }))), 'ENAMETOOLONG')
  t.is(codeOf(await rejection(new Dialer().dial({ path }))), 'ENAMETOOLONG')
})

onLinux('a name has no permissions', async (t) => {
  const path = newName()
  const listening = serverOf(t).listen({ path, mode: 0o600 })
  await t.throwsAsync(listening, { instanceOf: TypeError, code: 'ERR_INVALID_ARG_VALUE', message: /no file/ })
  t.false(isBound(path))
})

test('names are as node:net of the host has them', (t) => {
  t.true(fillsAbstractNames({ node: '20.20.2', uv: '1.46.0' }))
  t.false(fillsAbstractNames({ node: '22.0.0', uv: '1.48.0' }))
  t.false(fillsAbstractNames({ node: '26.0.0', uv: '1.52.1' }))
  t.false(fillsAbstractNames({ node: '30.0.0', uv: '2.0.0' }))
  t.false(fillsAbstractNames({ node: '24.0.0', uv: '1.43.0', deno: '2.9.6' }))
  t.false(fillsAbstractNames({ node: '24.0.0', uv: '1.43.0', bun: '1.4.5' }))
  t.false(fillsAbstractNames({}))
})
