// The limit of startTls keeps no process, and does not count what the process itself has stood still.

import test from 'ava'

import { Dialer } from '../../dist/index.mjs'
import { Authority } from '../support/certificates.mjs'
import { gone } from '../support/netpoll.mjs'
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

function standStill(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, limit + 100)
}

for (const place of places.filter(({ side }) => side === 'dialed')) {
  test.serial(`what had come by then counts before the limit: ${words(place)}`, async (t) => {
    const { pollers, transport } = place
    const { target, peers } = await rawServer(t, transport)
    const connection = await new Dialer({ pollers, onError: () => {} }).dial(target)
    t.teardown(() => gone(connection))
    const peer = await peers.take()
    const options = { servername: 'localhost', rejectUnauthorized: false, handshakeTimeout: limit }
    const secured = connection.startTls(options)
    const header = await peer.read(5)
    const hello = Buffer.concat([header, await peer.read(header.readUInt16BE(3))])
    const answer = await answerTo(hello, identity)
    // It is in the socket, and nothing of ours has looked.
    peer.socket.write(answer)
    standStill()
    await secured
    t.is(connection.tls?.protocol, 'TLSv1.3')
  })
}
