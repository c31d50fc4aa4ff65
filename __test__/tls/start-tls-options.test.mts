// Each option of `startTls` with values that it may not have, and names that are none: the connection stays as it is.

import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { codeOf, rejection, targetOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const identity = { ...root.issue(), ...patient }
const trusting = { ...patient, ca: root.cert, servername: 'localhost' }

/** Two ends of a stream without TLS. */
async function pair(t: ExecutionContext, pollers: number): Promise<readonly [Connection, Connection]> {
  const accepted = new Inbox<Connection>()
  const server = createServer({ pollers, onConnect: accepted.push, onData: () => {}, onError: () => {} })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const dialed = await new Dialer({ pollers, onError: () => {} }).dial(targetOf(server))
  t.teardown(() => dialed.destroy())
  return [await accepted.take(), dialed]
}

const shared = ['key', 'cert', 'passphrase', 'ca', 'allowPartialTrustChain', 'ciphers', 'ALPNProtocols']
const all = [...shared, 'minVersion', 'maxVersion', 'rejectUnauthorized']
const own = ['lastPlaintext', 'unread', 'handshakeTimeout']
const ends = {
  server: {
    names: [...all, 'requestCert', 'contexts'],
    others: ['onHandshakeError', 'servername', 'checkServerIdentity', 'maxCachedSessions'],
  },
  client: {
    names: [...all, 'servername', 'checkServerIdentity', 'maxCachedSessions'],
    others: ['requestCert', 'contexts', 'onHandshakeError'],
  },
} as const

const values = [0, Number.POSITIVE_INFINITY, 1.5, Number.NaN, -1, null, true, 'x', {}, Symbol('x'), 1n]
/** What each option takes of them, as `String` has it. */
const accepted: Readonly<Record<string, readonly string[]>> = {
  passphrase: ['x'],
  allowPartialTrustChain: ['true'],
  rejectUnauthorized: ['true'],
  requestCert: ['true'],
  contexts: ['[object Object]'],
  handshakeTimeout: ['0', 'Infinity', '1.5'],
  servername: ['x'],
  maxCachedSessions: ['0'],
  lastPlaintext: ['x'],
}
const wrong = new Set<unknown>(['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_VALUE', 'ERR_OUT_OF_RANGE'])

for (const pollers of [0, 1]) {
  for (const [end, { names, others }] of Object.entries(ends)) {
    test(`values that startTls may not be given change nothing: ${end}, pollers ${pollers}`, async (t) => {
      const [ofServer, ofClient] = await pair(t, pollers)
      const [asked, other] = end === 'server' ? [ofServer, ofClient] : [ofClient, ofServer]
      for (const name of [...own, ...names]) {
        for (const value of values) {
          const what = `${name}: ${String(value)}`
          if (accepted[name]?.includes(String(value))) continue
          const error = (await rejection(asked.startTls({ ...identity, [name]: value }))) as Error
          t.false(error.message.includes('PRIVATE KEY'), what)
          // What is in a key, node:crypto says.
          if (name === 'key' && value === 'x') continue
          t.true(wrong.has(codeOf(error)), `${what}: ${error.message}`)
          t.regex(error.message, new RegExp(`(tls|options)\\.${name}\\b`), what)
        }
      }
      for (const name of [...others, 'pfx', 'secureContext', 'socket', 'isServer']) {
        const error = await rejection(asked.startTls({ ...identity, [name]: 'SECRET' } as never))
        t.is(codeOf(error), 'ERR_INVALID_ARG_VALUE', name)
        t.false((error as Error).message.includes('SECRET'), name)
      }
      for (const odd of [null, 0, 'x', Symbol('x')]) {
        t.true(wrong.has(codeOf(await rejection(asked.startTls(odd as never)))), String(odd))
      }
      // It carries plaintext as before, and goes over once the options are right: those that are undefined are absent.
      asked.writer.writeString('plain')
      await asked.writer.flush()
      await other.reader.fill(5)
      t.is(other.reader.readString(5), 'plain')
      const absent = Object.fromEntries([...own, ...names, ...others].map((name) => [name, undefined]))
      await Promise.all([
        ofServer.startTls({ ...(end === 'server' && absent), ...identity }),
        ofClient.startTls({ ...(end === 'client' && absent), ...trusting }),
      ])
      t.is(asked.tls?.protocol, 'TLSv1.3')
    })

    test(`odd values that startTls takes: ${end}, pollers ${pollers}`, async (t) => {
      for (const name of [...own, ...names]) {
        for (const value of values) {
          if (!accepted[name]?.includes(String(value))) continue
          const [ofServer, ofClient] = await pair(t, pollers)
          const asked = end === 'server' ? ofServer : ofClient
          const switching = rejection(asked.startTls({ ...identity, [name]: value }))
          asked.destroy()
          t.false(wrong.has(codeOf(await switching)), `${name}: ${String(value)}`)
        }
      }
      for (const handshakeTimeout of [0, Number.POSITIVE_INFINITY]) {
        const [ofServer, ofClient] = await pair(t, pollers)
        await Promise.all([
          ofServer.startTls({ ...identity, ...(end === 'server' && { handshakeTimeout }) }),
          ofClient.startTls({ ...trusting, ...(end === 'client' && { handshakeTimeout }) }),
        ])
        t.is(ofClient.tls?.authorized, true)
      }
    })
  }
}
