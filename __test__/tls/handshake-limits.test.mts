// The limit of a handshake keeps no process, and does not count what the process itself has stood still.

import test from 'ava'

import { Dialer } from '../../dist/index.mjs'
import { Authority } from '../support/certificates.mjs'
import { gone } from '../support/netpoll.mjs'
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

/** Longer than it takes to get there, and how long this thread stands still then. */
const limit = 2_000

/** The peer answers, and this thread stands still before anything of ours has looked. */
async function answerMeanwhile(peer: Peer): Promise<void> {
  const header = await peer.read(5)
  const hello = Buffer.concat([header, await peer.read(header.readUInt16BE(3))])
  peer.socket.write(await answerTo(hello, identity))
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, limit + 100)
}

const anyone = { servername: 'localhost', rejectUnauthorized: false }

for (const place of places.filter(({ side }) => side === 'dialed')) {
  const { pollers, transport } = place

  test.serial(`what had come by then counts before the limit: startTls, ${words(place)}`, async (t) => {
    const { target, peers } = await rawServer(t, transport)
    const connection = await new Dialer({ pollers, onError: () => {} }).dial(target)
    t.teardown(() => gone(connection))
    const secured = connection.startTls({ ...anyone, handshakeTimeout: limit })
    await answerMeanwhile(await peers.take())
    await secured
    t.is(connection.tls?.protocol, 'TLSv1.3')
  })

  test.serial(`what had come by then counts before the limit: fromFd, ${words(place)}`, async (t) => {
    const { target, peers } = await rawServer(t, transport)
    const plain = await new Dialer({ pollers }).dial(target)
    const dialer = new Dialer({ pollers, tls: anyone, connectTimeout: limit, onError: () => {} })
    const taken = dialer.fromFd(plain.detach())
    await answerMeanwhile(await peers.take())
    const connection = await taken
    t.teardown(() => gone(connection))
    t.is(connection.tls?.protocol, 'TLSv1.3')
  })
}
