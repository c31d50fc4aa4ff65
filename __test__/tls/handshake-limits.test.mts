// The limit of a handshake keeps no process, and does not count what the process itself has stood still.

import { readSync } from 'node:fs'
import test from 'ava'

import { heldLimit, runHeldTimers } from '../support/held-timers.mjs'
import { Dialer } from '../../dist/index.mjs'
import { Authority } from '../support/certificates.mjs'
import { codeOf, gone } from '../support/netpoll.mjs'
import type { Peer } from '../support/peer.mjs'
import { rawServer } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { runFixture } from '../support/system.mjs'
import { answerTo } from '../support/tls.mjs'

const identity = new Authority({ name: 'root' }).issue()

for (const side of ['dialed', 'server']) {
  for (const pollers of [0, 1, 2]) {
    test(`a process ends whose connection goes over to TLS, unreferenced: ${side}, pollers ${pollers}`, async (t) => {
      const { stdout, stderr } = await runFixture(t, 'unreferenced-start-tls', { args: [side, `${pollers}`] })
      t.is(stdout, 'goes over\n', stderr)
    })
  }
}

/** Waits for what the peer gets next. Nothing else of this thread goes on meanwhile. */
function awaitBytes({ socket }: Peer): void {
  const { _handle: handle } = socket as unknown as { readonly _handle: { readonly fd: number } }
  const still = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    try {
      if (readSync(handle.fd, Buffer.alloc(1)) > 0) break
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') throw error
    }
    Atomics.wait(still, 0, 0, 1)
  }
  // Its poller still has to tell.
  Atomics.wait(still, 0, 0, 100)
}

/** The peer answers, and time is up before anything of ours in this thread has looked. */
async function answerTooLate(peer: Peer, pollers: number): Promise<void> {
  const header = await peer.read(5)
  const hello = Buffer.concat([header, await peer.read(header.readUInt16BE(3))])
  const answer = await answerTo(hello, identity)
  // As a timer: behind those the loop looks at its sockets.
  await new Promise<void>((resolve, reject) => {
    setTimeout(() => {
      peer.socket.write(answer)
      if (pollers > 0) awaitBytes(peer)
      if (runHeldTimers() === 1) resolve()
      else reject(new Error('there was another timer'))
    }, 0)
  })
}

const anyone = { servername: 'localhost', rejectUnauthorized: false }

for (const place of places.filter(({ side }) => side === 'dialed')) {
  const { pollers, transport } = place

  test.serial(`what had come by then counts before the limit: startTls, ${words(place)}`, async (t) => {
    const { target, peers } = await rawServer(t, transport)
    const connection = await new Dialer({ pollers, onError: () => {} }).dial(target)
    t.teardown(() => gone(connection))
    const secured = connection.startTls({ ...anyone, handshakeTimeout: heldLimit })
    await answerTooLate(await peers.take(), pollers)
    await secured
    t.is(connection.tls?.protocol, 'TLSv1.3')
  })

  test.serial(`what had come by then counts before the limit: fromFd, ${words(place)}`, async (t) => {
    const { target, peers } = await rawServer(t, transport)
    const plain = await new Dialer({ pollers }).dial(target)
    const dialer = new Dialer({ pollers, tls: anyone, connectTimeout: heldLimit, onError: () => {} })
    const taken = dialer.fromFd(plain.detach())
    await answerTooLate(await peers.take(), pollers)
    const connection = await taken
    t.teardown(() => gone(connection))
    t.is(connection.tls?.protocol, 'TLSv1.3')
  })
}
