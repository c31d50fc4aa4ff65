// Whom a dialer trusts that names no authorities: those that Node.js trusts, with those of NODE_EXTRA_CA_CERTS.

import { writeFileSync } from 'node:fs'
import test from 'ava'

import { createServer } from '../../dist/index.mjs'
import { Authority, patient } from '../support/certificates.mjs'
import { framing, portOf } from '../support/netpoll.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

const root = new Authority({ name: 'root' })
const other = new Authority({ name: 'other' })
const unknown = 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'

const broken = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n'

const files: readonly (readonly [what: string, content: string, found: string])[] = [
  ['the issuer among others', `Both:\n${other.cert}\n${root.cert}`, 'trusted'],
  ['the issuer behind one that is broken', `${broken}${root.cert}`, unknown],
  ['the issuer before one that is broken', `${root.cert}${broken}`, 'trusted'],
  ['no certificate', 'none', unknown],
]

for (const [what, content, found] of files) {
  test(`with the extra authorities of Node.js: ${what}`, async (t) => {
    const server = createServer({ framing, tls: { ...root.issue(), ...patient } }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    await server.listen({ host: '127.0.0.1', port: 0 })
    const file = socketPath(t, 'extra.pem')
    writeFileSync(file, content)
    const { stdout, stderr } = await runFixture(t, 'trusting', {
      args: [String(portOf(server))],
      env: { NODE_EXTRA_CA_CERTS: file, NODE_OPTIONS: '' },
    })
    t.is(stdout, `${JSON.stringify([found, found])}\n`, stderr)
  })
}

test('where there is no file of extra authorities, those of Node.js remain', async (t) => {
  const server = createServer({ framing, tls: { ...root.issue(), ...patient } }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { stdout, stderr } = await runFixture(t, 'trusting', {
    args: [String(portOf(server))],
    env: { NODE_EXTRA_CA_CERTS: socketPath(t, 'missing.pem') },
  })
  t.is(stdout, `${JSON.stringify([unknown, unknown])}\n`, stderr)
})
