import test from 'ava'

import { Cluster, type ClusterOptions, fixed, type Resolver } from '../../dist/cluster/index.mjs'
import { configure, Dialer } from '../../dist/index.mjs'
import { Authority } from '../support/certificates.mjs'
import { until } from '../support/deferred.mjs'
import { codeOf, echo, framing, rejection, serve } from '../support/netpoll.mjs'

// A rejection that nobody handles ends the process.
const rejecting = (() => Promise.reject(new Error('too late'))) as () => never

const logged: string[] = []
configure({ logger: (line) => void logged.push(line) })
test.beforeEach(() => {
  logged.length = 0
})

const isTold = (): boolean => logged.some((line) => line.includes('too late'))

test.serial('checkServerIdentity refuses a promise', async (t) => {
  const root = new Authority({ name: 'root' })
  const { port } = await serve(t, { tls: root.issue() }, (request) => request)
  const tls = { ca: root.cert, servername: 'localhost', checkServerIdentity: rejecting }
  const dialed = new Dialer({ framing, tls }).dial({ host: '127.0.0.1', port })
  t.is(codeOf(await rejection(dialed)), 'ERR_INVALID_ARG_VALUE')
  await until(isTold)
  t.pass()
})

test.serial('goAway refuses a promise, and its client is closed as without', async (t) => {
  const id = { offset: 0, size: 4 } as const
  const errors: unknown[] = []
  const onError = (error: unknown): void => void errors.push(codeOf(error))
  const { target, server } = await echo(t, { id, goAway: rejecting, onError })
  const connection = await new Dialer({ framing, id }).dial(target)
  t.is(String(await connection.call('0001')), '0001')
  await server.close()
  t.deepEqual(errors, ['ERR_INVALID_ARG_VALUE'])
  await until(isTold)
})

const options: { readonly [name: string]: Partial<ClusterOptions> } = {
  isUnavailable: { isUnavailable: rejecting },
  'balancer.pick': { balancer: { pick: rejecting } },
}
for (const [name, given] of Object.entries(options)) {
  test.serial(`${name} refuses a promise`, async (t) => {
    const { target } = await echo(t)
    const cluster = new Cluster(fixed([{ address: target }]), { framing, ...given })
    t.teardown(() => cluster.close({ timeout: 0 }))
    t.is(codeOf(await rejection(cluster.call('x'))), 'ERR_INVALID_ARG_VALUE')
    await until(isTold)
  })
}

test.serial('watch of a resolver refuses a promise', async (t) => {
  const errors: unknown[] = []
  const onError = (error: unknown): void => void errors.push(codeOf(error))
  const cluster = new Cluster({ watch: rejecting }, { framing, onError })
  t.teardown(() => cluster.close({ timeout: 0 }))
  await until(() => isTold() && errors.length > 0)
  t.is(errors[0], 'ERR_INVALID_ARG_VALUE')
})

test.serial('what refresh of a resolver rejects with goes to onError', async (t) => {
  const { target, accepted } = await echo(t)
  const resolver: Resolver = {
    async *watch(signal) {
      yield [{ address: target }]
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    },
    refresh: rejecting,
  }
  const errors: unknown[] = []
  const cluster = new Cluster(resolver, { framing, onError: (error) => void errors.push(error) })
  t.teardown(() => cluster.close({ timeout: 0 }))
  await cluster.call('x')
  const connection = await accepted.take()
  connection.destroy()
  await until(() => errors.some((error) => error instanceof Error && error.message === 'too late'))
  t.pass()
})
