import test from 'ava'

import { RpcError } from '../../dist/rpc/index.mjs'
import { checkServer, serveForeign } from '../support/interop.mjs'
import { codeOf, rejection } from '../support/netpoll.mjs'
import {
  buildKitex,
  buildTimeout,
  go,
  missing,
  type Program,
  runClient,
  startServer,
} from '../support/programs.mjs'
import { thriftClient } from '../support/thrift.mjs'

const problem = missing('Kitex', go)
if (problem !== undefined) process.stderr.write(problem)
const kitexTest = problem === undefined ? test : test.skip

let program: Program

test.before(async (t) => {
  if (problem !== undefined) return
  t.timeout(buildTimeout)
  program = await buildKitex()
})

const ways = [
  { name: 'framed', transport: 'framed', flags: ['--transport', 'framed'] },
  { name: 'ttheader', transport: 'ttheader', flags: ['--transport', 'ttheader'] },
  { name: 'ttheader over a mux', transport: 'ttheader', flags: ['--transport', 'ttheader', '--mux'] },
] as const

for (const { name, transport, flags } of ways) {
  kitexTest(`thrift ${name}: a client of Kitex calls our server`, async (t) => {
    const { port, calls } = await serveForeign(t)
    await t.notThrowsAsync(runClient(t, program, port, flags))
    if (transport === 'framed') return
    const traced = calls.filter(({ metadata }) => metadata['RPC_PERSIST_trace'] === 'from Kitex')
    t.is(traced.length, 1)
    t.like(traced[0]?.metadata, { 'int:3': 'caller', 'int:6': 'interop', 'int:9': 'ping' })
    t.is(traced[0]?.request.timeout, 30_000)
  })

  for (const kind of ['mux', 'pool'] as const) {
    kitexTest(`thrift ${name}: our client calls a server of Kitex by a ${kind}`, async (t) => {
      const { port } = await startServer(t, program, flags)
      const client = await checkServer(t, port, { transport, kind })
      if (transport === 'framed') return
      const status = await rejection(client.service.crash('status'))
      t.true(status instanceof RpcError)
      t.is(codeOf(status), '404')
      const traced = client.withOptions({ timeout: 60_000, metadata: { RPC_PERSIST_trace: 'a1' } })
      t.is(await traced.wait(-1), 'a1 true')
    })
  }
}

kitexTest('thrift ttheader: a server of Kitex that shuts down has its connections left', async (t) => {
  const { port, stop } = await startServer(t, program, ['--transport', 'ttheader', '--mux'])
  const errors: unknown[] = []
  const { service } = thriftClient(t, port, {
    transport: 'ttheader',
    connections: 1,
    onError: (error) => errors.push(error),
  })
  const waiting = service.wait(200)
  // Once this is answered, the server has the call before it.
  await service.ping()
  const stopped = stop()
  t.is(await waiting, '200')
  await stopped
  // That it tries to connect again in vain is all that went wrong.
  t.deepEqual(
    errors.map(codeOf).filter((code) => code !== 'ECONNREFUSED'),
    [],
  )
  t.is(codeOf(await rejection(service.ping())), 'ECONNREFUSED')
})
