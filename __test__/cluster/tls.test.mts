import test, { type ExecutionContext } from 'ava'

import { type Cluster, dns, etcd, fixed, type Resolver, register } from '../../dist/cluster/index.mjs'
import { createServer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { clusterOf, endpointsOf, members, ready, say, sayAll } from '../support/cluster.mjs'
import { Inbox } from '../support/deferred.mjs'
import { id } from '../support/leaving.mjs'
import { codeOf, framing, rejection } from '../support/netpoll.mjs'
import { Etcd, isInstalled, NameServer, startDnsmasq } from '../support/registries.mjs'
import { certificate, key } from '../support/tls.mjs'

test('with TLS an endpoint is verified against its name, and a wrong one is refused', async (t) => {
  const [one] = await members(t, 1, undefined, { tls: { key, cert: certificate, ...patient } })
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

const timeout = 60_000

/** Without a limit, because a call with one waits for a server that is right. */
async function refused(t: ExecutionContext, cluster: Cluster): Promise<void> {
  const error = (await rejection(say(cluster, 'refused'))) as Error
  t.is(codeOf(error), 'ERR_NO_ENDPOINT')
  t.is(codeOf(error.cause), 'ERR_TLS_CERT_ALTNAME_INVALID', String(error.cause))
}

for (const pollers of [0, 1, 2]) {
  test(`endpoints of dns are verified against the name that was asked for: ${pollers} pollers`, async (t) => {
    const [one] = await members(t, 1, undefined, { tls: { key, cert: certificate, ...patient }, pollers })
    const port = one?.port ?? 0
    const names = await NameServer.start(t, { addresses: ['127.0.0.1'], ttl: 60 })
    const asking = (name: string): Cluster =>
      clusterOf(t, dns(name, { port, servers: [names.address] }), {
        tls: { ca: certificate },
        pollers,
        onError: () => {},
      })
    t.is(await say(asking('localhost'), 'right', { timeout }), 'right')
    // The certificate is valid for the address, which nobody has asked for.
    await refused(t, asking('service.test'))
    t.deepEqual(one?.got, ['right'])
  })
}

test('a server that shows the certificate of another name gets no call beside those that are right', async (t) => {
  const authority = new Authority()
  const identity = (name: string) => {
    const { key: own, cert } = new Authority({ name, extensions: [`subjectAltName=DNS:${name}`] }, authority)
    return { key: own, cert, ...patient }
  }
  const [right] = await members(t, 1, undefined, { tls: identity('service.test') })
  const port = right?.port ?? 0
  const got: Buffer[] = []
  const tls = identity('other.test')
  const wrong = createServer({ framing, id, tls }, (message) => void got.push(message))
  t.teardown(() => wrong.close({ timeout: 0 }))
  await wrong.listen({ host: '127.0.0.2', port })
  const names = await NameServer.start(t, { addresses: ['127.0.0.1', '127.0.0.2'], ttl: 60 })
  const faults = new Set<unknown>()
  const cluster = clusterOf(t, dns('service.test', { port, servers: [names.address] }), {
    tls: { ca: authority.cert },
    onError: (error) => void faults.add(codeOf(error)),
  })
  await ready(cluster, 1)
  while (faults.size === 0) await sayAll(cluster, 10, { timeout })
  t.deepEqual([...faults], ['ERR_TLS_CERT_ALTNAME_INVALID'])
  t.is(got.length, 0)
  t.is(cluster.stats().ready, 1)
})

test('endpoints of SRV records are verified against the name of the service', async (t) => {
  if (!isInstalled(t, 'dnsmasq', 'SRV with TLS')) return
  const service = '_echo._tcp.service.test'
  const authority = new Authority()
  const extensions = [`subjectAltName=DNS:${service}`]
  const identity = new Authority({ name: 'service', extensions }, authority)
  const all = await members(t, 1, undefined, { tls: { key: identity.key, cert: identity.cert, ...patient } })
  const others = await members(t, 1, undefined, { tls: { key, cert: certificate, ...patient } })
  const lines = (name: string, port: number | undefined): string => `--srv-host=${name},localhost,${port},1,1`
  const servers = [
    await startDnsmasq(t, [lines(service, all[0]?.port), lines('_echo._tcp.other.test', others[0]?.port)]),
  ]
  const asking = (name: string): Cluster =>
    clusterOf(t, dns(name, { type: 'SRV', servers }), {
      tls: { ca: [authority.cert, certificate] },
      onError: () => {},
    })
  t.is(await say(asking(service), 'right', { timeout }), 'right')
  // Its certificate is valid for the host of the record.
  await refused(t, asking('_echo._tcp.other.test'))
  t.is(others[0]?.got.length, 0)
})

for (const pollers of [0, 1, 2]) {
  test(`endpoints of etcd are verified against their names: ${pollers} pollers`, async (t) => {
    if (!isInstalled(t, 'etcd', 'etcd with TLS')) return
    const { url } = await Etcd.start(t)
    const authority = new Authority()
    const named = new Authority({ name: 'a', extensions: ['subjectAltName=DNS:service.test'] }, authority)
    const [one] = await members(t, 1, undefined, {
      tls: { key: named.key, cert: named.cert, ...patient },
      pollers,
    })
    const { address } = endpointsOf(one === undefined ? [] : [one])[0] ?? { address: { port: 0 } }
    const enter = async (prefix: string, servername: string | undefined): Promise<Cluster> => {
      const registration = await register({ url, key: `${prefix}a`, address, servername })
      t.teardown(() => registration.close())
      const tls = { ca: authority.cert }
      return clusterOf(t, etcd({ url, prefix }), { tls, pollers, onError: () => {} })
    }
    t.is(await say(await enter('/right/', 'service.test'), 'right', { timeout }), 'right')
    await refused(t, await enter('/wrong/', 'other.test'))
    // Without a name, the address is what the certificate has to be valid for.
    await refused(t, await enter('/none/', undefined))
    t.deepEqual(one?.got, ['right'])
  })
}

/** What TLS cannot carry, as etcd or a resolver of the user's may give it. */
const oddNames = ['a:b', 'a..b', '1.2.3', 'a b', '*.test']

/** A resolver of the same server under each of these names. */
function namedBy(port: number, names: readonly string[]): Resolver {
  const endpoints = names.map((servername) => ({ address: { host: '127.0.0.1', port }, servername }))
  return {
    async *watch() {
      yield endpoints
    },
  }
}

test('without TLS a cluster takes endpoints whatever their names for TLS', async (t) => {
  const [one] = await members(t, 1)
  const port = one?.port ?? 0
  const onError = (error: unknown): void => t.fail(String(error))
  const cluster = clusterOf(t, namedBy(port, oddNames), { onError })
  await ready(cluster, oddNames.length)
  t.is(await say(cluster, 'a', { timeout }), 'a')
  const names = await NameServer.start(t, { addresses: ['127.0.0.1'], ttl: 60 })
  const found = clusterOf(t, dns('1.2.3', { port, servers: [names.address] }), { onError })
  t.is(await say(found, 'b', { timeout }), 'b')
})

test('with TLS a cluster refuses an endpoint whose name cannot be asked for, and takes the others', async (t) => {
  const [one] = await members(t, 1, undefined, { tls: { key, cert: certificate, ...patient } })
  const port = one?.port ?? 0
  const errors = new Inbox<unknown>()
  const cluster = clusterOf(t, namedBy(port, [...oddNames, 'localhost']), {
    tls: { ca: certificate },
    onError: errors.push,
  })
  t.is(await say(cluster, 'a', { timeout }), 'a')
  t.is(cluster.stats().endpoints, 1)
  for (const name of oddNames) {
    const error = await errors.take()
    t.is(codeOf(error), 'ERR_INVALID_ARG_VALUE')
    t.regex(String(error), /"endpoint.servername" argument must be a host name/, name)
  }
  const none = clusterOf(t, namedBy(port, ['a:b']), { tls: true, onError: () => {} })
  const error = (await rejection(say(none, 'b'))) as Error
  t.is(codeOf(error.cause), 'ERR_INVALID_ARG_VALUE')
})

test('with a name for all a cluster takes endpoints whatever theirs are', async (t) => {
  const [one] = await members(t, 1, undefined, { tls: { key, cert: certificate, ...patient } })
  const tls = { ca: certificate, servername: 'localhost' }
  const onError = (error: unknown): void => t.fail(String(error))
  const cluster = clusterOf(t, namedBy(one?.port ?? 0, oddNames), { tls, onError })
  await ready(cluster, oddNames.length)
  t.is(await say(cluster, 'a', { timeout }), 'a')
})
