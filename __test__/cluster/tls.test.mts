import test from 'ava'

import { fixed } from '../../dist/cluster/index.mjs'
import { clusterOf, members, say } from '../support/cluster.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import { certificate, key } from '../support/tls.mjs'

test('with TLS an endpoint is verified against its name, and a wrong one is refused', async (t) => {
  const [one] = await members(t, 1, undefined, { tls: { key, cert: certificate } })
  const endpoint = (servername: string) => ({
    address: { host: '127.0.0.1', port: one?.port ?? 0 },
    servername,
  })
  const tls = { ca: certificate }
  const right = clusterOf(t, fixed([endpoint('localhost')]), { tls })
  t.is(await say(right, 'a', { timeout: 60_000 }), 'a')
  const wrong = clusterOf(t, fixed([endpoint('other.test')]), { tls, onError: () => {} })
  const error = (await rejection(say(wrong, 'a'))) as Error
  t.is(codeOf(error), 'ERR_NO_ENDPOINT')
  t.is(one?.got.length, 1)
  const given = clusterOf(t, fixed([endpoint('other.test')]), { tls: { ...tls, servername: 'localhost' } })
  t.is(await say(given, 'b', { timeout: 60_000 }), 'b')
})
