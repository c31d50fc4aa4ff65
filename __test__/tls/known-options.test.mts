// startTls is asked for by strangers: options that it knows cost it no copies, and each change to them counts.

import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer, type ServerTlsOptions } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { codeOf, gone, rejection, targetOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const mail = root.issue({ name: 'mail' })
const other = root.issue({ name: 'other' })
const anyName = (): undefined => undefined
const large = 256 * 1024

type Contexts = Record<string, { key: Uint8Array; cert: Uint8Array[]; passphrase?: string }>

/** As a user keeps them, whose contexts are large. */
function optionsOf() {
  const { key, cert } = mail
  const credentials = () => ({ key: Buffer.from(key), cert: [Buffer.from(cert.padEnd(large, '\n'))] })
  const contexts: Contexts = { 'a.test': credentials(), 'b.test': credentials() }
  return { key, cert: [Buffer.from(cert)], contexts, ...patient }
}

/** Has two connected streams go over to TLS. Tells what the server shows, and whether a session was resumed. */
async function starting(t: ExecutionContext) {
  const accepted = new Inbox<Connection>()
  const server = createServer({ onConnect: accepted.push, onError: () => {} })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const dialer = new Dialer({ onError: () => {} })
  const pair = async () => {
    const dialed = await dialer.dial(targetOf(server))
    t.teardown(() => gone(dialed))
    return [dialed, await accepted.take()] as const
  }
  const start = async (options: ServerTlsOptions) => {
    const [dialed, served] = await pair()
    const own = { ca: root.cert, servername: 'a.test', checkServerIdentity: anyName, ...patient }
    await Promise.all([dialed.startTls(own), served.startTls(options)])
    // Tickets stand before what the server sends.
    served.writer.writeByte(1)
    await served.writer.flush()
    await dialed.reader.fill(1)
    return { subject: dialed.tls?.peerCertificate?.subject, resumed: dialed.tls?.sessionReused }
  }
  return { pair, start }
}

test('options that are known are not copied', async (t) => {
  const { pair, start } = await starting(t)
  const options = optionsOf()
  await start(options)
  const [, served] = await pair()
  const { arrayBuffers } = process.memoryUsage()
  const over = rejection(served.startTls(options))
  t.true(process.memoryUsage().arrayBuffers - arrayBuffers < large)
  await gone(served)
  await over
})

const changes: Record<string, (contexts: Contexts) => void> = {
  'bytes of a key': (contexts) => {
    const context = contexts['a.test'] as Contexts[string]
    context.key.set(Buffer.from(other.key.padEnd(context.key.length, '\n')))
    context.cert = [Buffer.from(other.cert)]
  },
  'a list': (contexts) => {
    const context = contexts['a.test'] as Contexts[string]
    context.key = Buffer.from(other.key)
    context.cert[0] = Buffer.from(other.cert)
  },
  'a context': (contexts) => {
    contexts['a.test'] = { key: Buffer.from(other.key), cert: [Buffer.from(other.cert)] }
  },
}

for (const [what, change] of Object.entries(changes)) {
  test(`a change counts: ${what}`, async (t) => {
    const { start } = await starting(t)
    const options = optionsOf()
    t.deepEqual(await start(options), { subject: 'CN=mail', resumed: false })
    t.deepEqual(await start(options), { subject: 'CN=mail', resumed: true })
    change(options.contexts)
    t.deepEqual(await start(options), { subject: 'CN=other', resumed: false })
    t.deepEqual(await start(options), { subject: 'CN=other', resumed: true })
  })
}

test('contexts that are added or taken away are others, and the same again resume', async (t) => {
  const { start } = await starting(t)
  const { contexts, ...shared } = optionsOf()
  t.false((await start({ ...shared, contexts })).resumed)
  const more = { ...contexts, 'c.test': contexts['b.test'] as Contexts[string] }
  t.false((await start({ ...shared, contexts: more })).resumed)
  const { 'b.test': _, ...fewer } = contexts
  t.false((await start({ ...shared, contexts: fewer })).resumed)
  t.false((await start(shared)).resumed)
  // A client offers the ticket that it got last.
  t.false((await start({ ...shared, contexts })).resumed)
  // In another order, as other objects, and as defaults.
  const again = Object.fromEntries(Object.entries(optionsOf().contexts).reverse())
  t.true((await start({ ...shared, contexts: again })).resumed)
  t.true((await start({ ...shared, contexts: Object.create(contexts) })).resumed)
})

test('what is refused is refused beside options that are known', async (t) => {
  const { pair, start } = await starting(t)
  const { contexts, ...shared } = optionsOf()
  await start({ ...shared, contexts })
  await start({ ...shared, contexts: {} })
  const [, served] = await pair()
  const { key, cert } = contexts['b.test'] as Contexts[string]
  const wrong = [
    [{ ...contexts, 'b.test': { key, cert, pfx: 1 } }, 'ERR_INVALID_ARG_VALUE'],
    [{ ...contexts, 'b.test': null }, 'ERR_INVALID_ARG_TYPE'],
    [{ ...contexts, 'b.test': { key, cert: [...cert, ''] } }, 'ERR_INVALID_ARG_VALUE'],
    [new Map(), 'ERR_INVALID_ARG_TYPE'],
    [null, 'ERR_INVALID_ARG_TYPE'],
  ] as const
  for (const [given, code] of wrong) {
    const options = { ...shared, contexts: given } as unknown as ServerTlsOptions
    t.is(codeOf(await rejection(served.startTls(options))), code)
  }
})
