import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { frame } from '../support/frames.mjs'
import { connectPeer } from '../support/netpoll.mjs'
import { socketPath } from '../support/system.mjs'

const host = '127.0.0.1'
const source = fileURLToPath(new URL('../../__test__/fixtures/native/refuse-watching.c', import.meta.url))
const fixture = fileURLToPath(new URL('../fixtures/unwatched.mjs', import.meta.url))

// The system's own limit is one for all processes of the user. macOS has no such limit, and kqueue fails otherwise.
const onLinux = process.platform === 'linux' ? test : test.skip

for (const pollers of [0, 1, 2]) {
  onLinux(`a connection that cannot be watched is reported and counted, pollers: ${pollers}`, async (t) => {
    const library = join(dirname(socketPath(t)), 'refuse.so')
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'])
    // A sanitizer's library comes first.
    const preloaded = [process.env['LD_PRELOAD'], library].filter(Boolean).join(':')
    const server = fork(fixture, [String(pollers)], { env: { ...process.env, LD_PRELOAD: preloaded } })
    t.teardown(() => server.kill('SIGKILL'))
    const [port] = (await once(server, 'message')) as [number]
    const told = once(server, 'message')
    const stranger = await connectPeer(t, { host, port })
    await stranger.readToEnd().catch(() => {})
    t.deepEqual(await told, [{ code: 'ENOSPC', syscall: 'accept', accepted: 0, dropped: 1 }, undefined])
    server.send('allow')
    await once(server, 'message')
    const peer = await connectPeer(t, { host, port })
    await peer.write(frame('x'))
    t.deepEqual(await peer.read(5), frame('x'))
  })
}
