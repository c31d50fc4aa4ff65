// The errors of what is sent without a reply show who has sent it, and no function of this package.

import test, { type ExecutionContext } from 'ava'

import { fixed, type Resolver } from '../../dist/cluster/index.mjs'
import { type DialTarget, lengthField, Mux, Pool } from '../../dist/index.mjs'
import { clusterOf } from '../support/cluster.mjs'
import { freePort } from '../support/listeners.mjs'
import { framing, gone } from '../support/netpoll.mjs'
import { connectionAt, rawServer } from '../support/placed.mjs'
import { places, words } from '../support/places.mjs'
import { clientOf } from '../support/rpc.mjs'
import { errorOf, type Failing, saysWhoAwaits, saysWhoCalls, saysWhoMadeIt } from '../support/stacks.mjs'

const nowhere = async (): Promise<DialTarget> => ({ host: '127.0.0.1', port: await freePort() })

/** Of servers that are none. */
const found: Resolver = fixed([{ address: { path: '/nowhere/no.sock' } }])

const ways: Readonly<Record<string, (t: ExecutionContext) => Promise<Failing>>> = {
  'a send of a mux that connects to nobody': async (t) => {
    const mux = new Mux(await nowhere(), { framing })
    t.teardown(() => mux.close({ timeout: 0 }))
    return { call: () => mux.send('x') }
  },
  'a send of a mux that is closed': async () => {
    const mux = new Mux(await nowhere(), { framing })
    await mux.close()
    return { call: () => mux.send('x') }
  },
  'a send of a mux that is closed meanwhile': async () => {
    const mux = new Mux(await nowhere(), { framing, connectTimeout: 10_000 })
    return { call: () => mux.send('x'), fail: () => mux.close({ timeout: 0 }) }
  },
  'a message that a mux cannot frame': async (t) => {
    const mux = new Mux((await rawServer(t, 'tcp')).target, { framing: lengthField({ size: 1 }) })
    t.teardown(() => mux.close({ timeout: 0 }))
    await mux.connect()
    return { call: () => mux.send(Buffer.alloc(1_000)) }
  },
  'a send of a cluster that connects to nobody': async (t) => {
    const cluster = clusterOf(t, found, { onError: () => {} })
    return { call: () => cluster.send('abcd') }
  },
  'a send of a cluster that is closed': async (t) => {
    const cluster = clusterOf(t, found, { onError: () => {} })
    await cluster.close()
    return { call: () => cluster.send('abcd') }
  },
  ...Object.fromEntries(
    (['mux', 'pool'] as const).map((kind) => [
      `a one-way call of netpoll/rpc that connects to nobody, by a ${kind}`,
      async (t: ExecutionContext) => {
        const client = clientOf(t, await freePort(), { kind })
        return { call: () => client.send('x', null) }
      },
    ]),
  ),
}

for (const [way, begin] of Object.entries(ways)) {
  test.serial(`${way} says who has made it`, (t) => saysWhoAwaits(t, begin))

  test.serial(`${way} says who has made it with callStacks, although nobody awaits it`, (t) =>
    saysWhoMadeIt(t, begin),
  )
}

for (const place of places) {
  test.serial(
    `what is sent on a connection that is gone says who has sent it: ${words(place)}`,
    async (t) => {
      const { connection } = await connectionAt(t, place)
      await gone(connection)
      connection.writer.writeString('x')
      const ways = [() => connection.send('x'), () => connection.end('x'), () => connection.writer.flush()]
      for (const call of ways) saysWhoCalls(t, await errorOf(call))
    },
  )
}

for (const place of places) {
  test.serial(`a wrong argument of a call or send is shown where it is given: ${words(place)}`, async (t) => {
    const options = place.side === 'server' ? { id: { offset: 0, size: 4 } as const } : {}
    const { connection } = await connectionAt(t, place, options)
    const wrong = 1 as never
    const ways = [
      () => connection.send(wrong),
      () => connection.end(wrong),
      () => connection.call(wrong),
      () => connection.call('abcd', wrong),
      () => connection.call('abcd', { timeout: 'soon' as never }),
      () => connection.call('abcd', new Map() as never),
    ]
    for (const call of ways) saysWhoCalls(t, await errorOf(call))
  })
}

test.serial(
  'a wrong argument of a call of a mux, pool, cluster or client is shown where it is given',
  async (t) => {
    const wrong = { timeout: 'soon' as never }
    const mux = new Mux(await nowhere(), { framing })
    const pool = new Pool(await nowhere(), { framing })
    t.teardown(() => Promise.all([mux.close({ timeout: 0 }), pool.close({ timeout: 0 })]))
    const cluster = clusterOf(t, found, { onError: () => {} })
    const ways = [
      ...[() => mux.call('x', wrong), () => mux.connect(wrong), () => mux.send(1 as never)],
      ...[() => pool.call('x', wrong), () => pool.get(wrong)],
      ...[() => cluster.call('abcd', wrong), () => cluster.send('abcd', wrong)],
    ]
    for (const call of ways) saysWhoCalls(t, await errorOf(call))
  },
)
