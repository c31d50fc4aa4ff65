// A connection that its user closes when its handshake is done and has not been told of.

import { once } from 'node:events'
import test from 'ava'

import { type Connection, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { netServerAt } from '../support/listeners.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import { answerTo } from '../support/tls.mjs'

const root = new Authority({ name: 'root' })
const identity = root.issue()
const tls = { ca: root.cert, servername: 'localhost', ...patient }

const ways: readonly (readonly [name: string, (connection: Connection) => void])[] = [
  ['close', (connection) => void connection.close()],
  ['destroy', (connection) => connection.destroy()],
  ['resetAndDestroy', (connection) => connection.resetAndDestroy()],
]

for (const transport of ['tcp', 'unix'] as const) {
  for (const [name, give] of ways) {
    test(`startTls rejects where ${name} comes before it is told of its end, ${transport}`, async (t) => {
      const { target, sockets } = await netServerAt(t, transport)
      const upgraded = await new Dialer().dial(target)
      const peer = await sockets.take()
      // Its byte comes first in the batch that also tells of the handshake's end.
      const other = await new Dialer({ onData: () => give(upgraded) }).dial(target)
      t.teardown(() => other.destroy())
      const trigger = await sockets.take()

      const secured = upgraded.startTls(tls)
      const [hello] = (await once(peer, 'data')) as [Buffer]
      const answer = await answerTo(hello, identity)
      trigger.write('!')
      peer.write(answer)
      t.is(codeOf(await rejection(secured)), 'ERR_CONN_CLOSED')
    })
  }
}
