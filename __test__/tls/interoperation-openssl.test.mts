// TLS of OpenSSL's programs on the other end, either way.

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import {
  type ClientTlsOptions,
  type Connection,
  createServer,
  Dialer,
  type ServerTlsOptions,
} from '../../dist/index.mjs'
import { Authority, identitiesOf, keyKinds, ofClient, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { codeOf, portOf, rejection } from '../support/netpoll.mjs'

const host = '127.0.0.1'
const root = new Authority({ name: 'root' })
const client = root.issue({ name: 'client', extensions: ofClient })
const identities = identitiesOf(root)
const flags = { 'TLSv1.1': '-tls1_1', 'TLSv1.2': '-tls1_2', 'TLSv1.3': '-tls1_3' } as const
const versions = ['TLSv1.2', 'TLSv1.3'] as const
/** OpenSSL offers old versions to those alone that do without security. */
const insecure = ['-cipher', 'DEFAULT:@SECLEVEL=0']

const folder = mkdtempSync(join(tmpdir(), 'netpoll-openssl-'))
test.after.always(() => rmSync(folder, { recursive: true }))
writeFileSync(join(folder, 'ca.pem'), root.cert)
for (const [name, { key, cert }] of Object.entries({ ...identities, client })) {
  writeFileSync(join(folder, `${name}-key.pem`), key)
  writeFileSync(join(folder, `${name}.pem`), cert)
}

const shows = (name: string): readonly string[] => [
  ...['-cert', join(folder, `${name}.pem`), '-key', join(folder, `${name}-key.pem`)],
]
const trusts = ['-CAfile', join(folder, 'ca.pem'), '-verify_return_error']

/** A program of OpenSSL, gone with the test, and what it says. */
class OpenSsl {
  readonly #program: ChildProcessWithoutNullStreams
  readonly #output = new Inbox<string>()
  readonly #closed: Promise<unknown>

  constructor(t: ExecutionContext, words: readonly string[]) {
    this.#program = spawn('openssl', words)
    this.#closed = once(this.#program, 'close')
    for (const stream of [this.#program.stdout, this.#program.stderr]) {
      stream.on('data', (data: Buffer) => this.#output.push(data.toString('latin1')))
    }
    this.#program.stdin.on('error', () => {})
    void this.#closed.then(() => this.#output.push('\n(closed)\n'))
    t.teardown(async () => {
      this.#program.kill('SIGKILL')
      await this.#closed
    })
  }

  get said(): string {
    return this.#output.all.join('')
  }

  /** Waits until it has said something like that, or has ended. */
  async reach(expected: RegExp): Promise<RegExpExecArray> {
    for (let count = 0; ; count += 1) {
      const found = expected.exec(this.said)
      if (found !== null) return found
      if (this.said.endsWith('\n(closed)\n')) throw new Error(this.said)
      await this.#output.reach(count + 1)
    }
  }

  type(text: string): void {
    this.#program.stdin.write(text)
  }

  async end(): Promise<void> {
    this.#program.stdin.end()
    await this.#closed
  }
}

/** A server of ours that sends back what comes, and what it was told. */
async function serving(
  t: ExecutionContext,
  tls: ServerTlsOptions,
): Promise<{ readonly port: number; readonly accepted: Inbox<Connection>; readonly errors: Inbox<Error> }> {
  const accepted = new Inbox<Connection>()
  const errors = new Inbox<Error>()
  const server = createServer({
    tls: { ...patient, onHandshakeError: errors.push, ...tls },
    onConnect: accepted.push,
    onData: async ({ reader, writer }) => {
      writer.writeBinary(reader.next(reader.length))
      await writer.flush()
    },
    onError: () => {},
  })
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0 })
  return { port: portOf(server), accepted, errors }
}

function connecting(t: ExecutionContext, port: number, words: readonly string[]): OpenSsl {
  const target = ['-connect', `${host}:${port}`, '-servername', 'localhost']
  return new OpenSsl(t, ['s_client', ...target, ...trusts, ...words])
}

/** A server of OpenSSL, which sends each line back from its end to its beginning. */
async function listening(
  t: ExecutionContext,
  words: readonly string[],
): Promise<{ readonly program: OpenSsl; readonly port: number }> {
  const program = new OpenSsl(t, ['s_server', '-accept', `${host}:0`, ...words])
  const [, port] = await program.reach(/ACCEPT .*:(\d+)/)
  return { program, port: Number(port) }
}

const dialing = (port: number, tls: ClientTlsOptions = {}): Promise<Connection> =>
  new Dialer({ onError: () => {}, tls: { ca: root.cert, servername: 'localhost', ...tls } }).dial({
    host,
    port,
  })

/** What a server of OpenSSL makes of a line. */
async function reversed(connection: Connection, line: string): Promise<string> {
  connection.writer.writeString(`${line}\n`)
  await connection.writer.flush()
  await connection.reader.fill(line.length + 1)
  return String(connection.reader.next(line.length + 1)).trimEnd()
}

/** ClientHellos among the messages that `-msg` shows: a second one answers a HelloRetryRequest. */
const hellos = (said: string): number => said.split('ClientHello').length - 1

for (const version of versions) {
  for (const kind of keyKinds) {
    test(`openssl: ${kind}, ${version}, both ways`, async (t) => {
      const { port, accepted } = await serving(t, identities[kind])
      const program = connecting(t, port, [flags[version]])
      program.type('there and back\n')
      await program.reach(/there and back/)
      await program.reach(/Verification: OK/)
      t.like((await accepted.take()).tls, { protocol: version, servername: 'localhost' })
      await program.end()

      const server = await listening(t, ['-rev', flags[version], ...shows(kind)])
      const connection = await dialing(server.port)
      t.is(await reversed(connection, 'abc'), 'cba')
      t.like(connection.tls, { protocol: version, authorized: true })
      await connection.close()
    })
  }

  for (const group of ['X25519', 'P-256', 'P-384']) {
    test(`openssl: keys are exchanged by ${group}, ${version}, both ways`, async (t) => {
      // In TLS 1.2 groups say which curves keys of certificates may have, too.
      const { port, accepted } = await serving(t, identities.RSA)
      const program = connecting(t, port, [flags[version], '-groups', group, '-msg'])
      program.type('there and back\n')
      await program.reach(/^there and back/m)
      t.is(hellos(program.said), 1)
      t.is((await accepted.take()).tls?.protocol, version)
      await program.end()

      const server = await listening(t, ['-msg', '-rev', flags[version], '-groups', group, ...shows('RSA')])
      const connection = await dialing(server.port)
      t.is(await reversed(connection, 'abc'), 'cba')
      await connection.close()
      await server.program.reach(/close_notify/)
      // A dialer begins with a share for X25519, and a server that wants another asks for that.
      t.is(hellos(server.program.said), version === 'TLSv1.3' && group !== 'X25519' ? 2 : 1)
    })
  }

  test(`openssl: no group in common, ${version}, both ways`, async (t) => {
    const { port, errors } = await serving(t, identities['P-256'])
    const program = connecting(t, port, [flags[version], '-groups', 'P-521'])
    await program.reach(/handshake failure/)
    t.is(codeOf(await errors.take()), 'ERR_TLS_PROTOCOL')
    await program.end()
    const server = await listening(t, ['-rev', flags[version], '-groups', 'P-521', ...shows('P-256')])
    t.is(codeOf(await rejection(dialing(server.port))), 'ERR_TLS_ALERT')
  })

  test(`openssl: client certificates, ${version}, both ways`, async (t) => {
    const { port, accepted, errors } = await serving(t, {
      ...identities['P-256'],
      ca: root.cert,
      requestCert: true,
    })
    const program = connecting(t, port, [flags[version], ...shows('client')])
    program.type('there and back\n')
    await program.reach(/there and back/)
    const { tls } = await accepted.take()
    t.is(tls?.peerCertificate?.subject, 'CN=client')
    t.true(tls?.authorized)
    await program.end()
    const without = connecting(t, port, [flags[version]])
    await without.reach(/alert (certificate required|handshake failure)/)
    t.is(codeOf(await errors.take()), 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')

    const words = ['-rev', flags[version], ...shows('P-256'), ...trusts, '-Verify', '1']
    const server = await listening(t, words)
    const connection = await dialing(server.port, client)
    t.is(await reversed(connection, 'abc'), 'cba')
    await connection.close()
  })
}

test('openssl: a client whose first share we cannot use is asked for another', async (t) => {
  const { port, accepted } = await serving(t, identities['P-256'])
  const program = connecting(t, port, ['-tls1_3', '-groups', 'P-521:P-256', '-msg'])
  program.type('there and back\n')
  await program.reach(/^there and back/m)
  t.is(hellos(program.said), 2)
  t.is((await accepted.take()).tls?.protocol, 'TLSv1.3')
  await program.end()
})

test('openssl: TLS 1.1 is refused, both ways', async (t) => {
  const { port, errors } = await serving(t, identities['P-256'])
  const program = connecting(t, port, ['-tls1_1', ...insecure])
  await program.reach(/alert (protocol version|handshake failure)/)
  t.is(codeOf(await errors.take()), 'ERR_TLS_PROTOCOL')
  const server = await listening(t, ['-rev', '-tls1_1', ...insecure, ...shows('P-256')])
  t.is(codeOf(await rejection(dialing(server.port))), 'ERR_TLS_ALERT')
})

test('openssl: a client that wants other keys by renegotiation is refused, and others go on', async (t) => {
  const { port, accepted } = await serving(t, identities['P-256'])
  const standing = await dialing(port, { maxVersion: 'TLSv1.2' })
  const program = connecting(t, port, ['-tls1_2'])
  program.type('before\n')
  await program.reach(/before/)
  program.type('R\n')
  await program.reach(/no renegotiation/)
  await accepted.reach(2)
  standing.writer.writeString('still there')
  await standing.writer.flush()
  await standing.reader.fill(11)
  t.is(String(standing.reader.next(11)), 'still there')
  await standing.close()
})

test('openssl: a server that wants other keys by renegotiation does not get them', async (t) => {
  const { program, port } = await listening(t, ['-tls1_2', '-msg', ...shows('P-256')])
  const connection = await dialing(port)
  connection.writer.writeString('before\n')
  await connection.writer.flush()
  await program.reach(/before/)
  const before = hellos(program.said)
  program.type('r\n')
  await program.reach(/no_renegotiation/)
  t.is(hellos(program.said), before)
  connection.destroy()
})
