// TLS of Go on the other end, either way.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'

import {
  type ClientTlsOptions,
  type ConnectionTls,
  createServer,
  Dialer,
  type ServerTlsOptions,
} from '../../dist/index.mjs'
import { Authority, identitiesOf, keyKinds, ofClient, patient } from '../support/certificates.mjs'
import { Inbox } from '../support/deferred.mjs'
import { pattern } from '../support/frames.mjs'
import { codeOf, framing, portOf, rejection } from '../support/netpoll.mjs'
import {
  buildTimeout,
  buildTls,
  go,
  missing,
  outputOf,
  type Program,
  startServer,
} from '../support/programs.mjs'

const problem = missing('TLS of Go', go)
if (problem !== undefined) process.stderr.write(problem)
// CI has Go.
const goTest = problem === undefined || process.env['CI'] !== undefined ? test : test.skip

const host = '127.0.0.1'
const root = new Authority({ name: 'root' })
const client = root.issue({ name: 'client', extensions: ofClient })
const identities = identitiesOf(root)
const versions = ['TLSv1.2', 'TLSv1.3'] as const

let program: Program
let folder: string

test.before(async (t) => {
  folder = mkdtempSync(join(tmpdir(), 'netpoll-go-'))
  writeFileSync(join(folder, 'ca.pem'), root.cert)
  for (const [name, { key, cert }] of Object.entries({ ...identities, client })) {
    writeFileSync(join(folder, `${name}-key.pem`), key)
    writeFileSync(join(folder, `${name}.pem`), cert)
  }
  if (problem !== undefined && process.env['CI'] === undefined) return
  t.timeout(buildTimeout)
  program = await buildTls()
})
test.after.always(() => rmSync(folder, { recursive: true }))

const shows = (name: string): readonly string[] => [
  ...['--cert', join(folder, `${name}.pem`), '--key', join(folder, `${name}-key.pem`)],
]
const trusts = (): readonly string[] => ['--ca', join(folder, 'ca.pem')]

/** What Go says of a connection. */
interface State {
  readonly version: string
  readonly curve: string
  readonly retried: boolean
  readonly resumed: boolean
  readonly protocol: string
  readonly serverName: string
  readonly peer: string
  readonly error?: string
}

/** What a client in Go says of each of its connections, and what our server says of it. */
async function clientOfGo(
  t: ExecutionContext,
  tls: ServerTlsOptions,
  words: readonly string[],
): Promise<{
  readonly theirs: readonly State[]
  readonly ours: Inbox<ConnectionTls>
  readonly errors: Inbox<Error>
}> {
  const ours = new Inbox<ConnectionTls>()
  const errors = new Inbox<Error>()
  const server = createServer(
    {
      framing,
      tls: { ...patient, onHandshakeError: errors.push, ...tls },
      onConnect: (connection) => void ours.push(connection.tls as ConnectionTls),
    },
    (request) => request,
  )
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0 })
  const printed = await outputOf(program, ['client', '--port', `${portOf(server)}`, ...trusts(), ...words])
  const theirs = printed
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as State)
  return { theirs, ours, errors }
}

/** What our dialer is told, and what a server in Go says. */
async function serverOfGo(
  t: ExecutionContext,
  tls: ClientTlsOptions,
  words: readonly string[],
  rounds = 1,
): Promise<readonly (readonly [theirs: State, ours: ConnectionTls])[]> {
  const { port } = await startServer(t, program, words)
  const dialer = new Dialer({ framing, tls: { ca: root.cert, servername: 'localhost', ...tls } })
  const all: (readonly [State, ConnectionTls])[] = []
  for (let round = 0; round < rounds; round += 1) {
    const connection = await dialer.dial({ host, port })
    for (const size of [0, 1, 100_000]) {
      t.deepEqual(Buffer.from(await connection.call(pattern(size))), pattern(size))
    }
    const state = JSON.parse(String(await connection.call('state'))) as State
    all.push([state, connection.tls as ConnectionTls])
    await connection.close()
  }
  return all
}

for (const version of versions) {
  for (const kind of keyKinds) {
    goTest(`go: ${kind}, ${version}, resumed, both ways`, async (t) => {
      const served = await clientOfGo(t, identities[kind], ['--version', version, '--rounds', '2'])
      for (const [round, resumed] of [false, true].entries()) {
        t.like(served.theirs[round], { version, resumed, serverName: 'localhost', peer: 'localhost' })
        t.is(served.theirs[round]?.error, undefined)
        t.like(await served.ours.take(), {
          protocol: version,
          sessionReused: resumed,
          servername: 'localhost',
        })
      }
      const dialed = await serverOfGo(t, {}, ['--version', version, ...shows(kind)], 2)
      for (const [round, resumed] of [false, true].entries()) {
        const [theirs, ours] = dialed[round] as (typeof dialed)[0]
        t.like(theirs, { version, resumed, serverName: 'localhost' })
        t.like(ours, { protocol: version, sessionReused: resumed, authorized: true })
      }
    })
  }

  for (const curve of ['X25519', 'P-256', 'P-384'] as const) {
    goTest(`go: keys are exchanged by ${curve}, ${version}, both ways`, async (t) => {
      const words = ['--version', version, '--curves', curve]
      const served = await clientOfGo(t, identities['P-256'], words)
      t.like(served.theirs[0], { version, curve, retried: false })
      t.is(served.theirs[0]?.error, undefined)
      const [[theirs, ours] = []] = await serverOfGo(t, {}, [...words, ...shows('P-256')])
      // A dialer begins with a share for X25519, and a server that wants another asks for that.
      t.like(theirs, { version, curve, retried: version === 'TLSv1.3' && curve !== 'X25519' })
      t.like(ours, { protocol: version, authorized: true })
    })
  }

  goTest(`go: client certificates and application protocols, ${version}, both ways`, async (t) => {
    const tls: ServerTlsOptions = {
      ...identities['P-256'],
      ca: root.cert,
      requestCert: true,
      ALPNProtocols: ['b', 'a'],
    }
    const words = ['--version', version, '--protocols', 'a,b']
    const served = await clientOfGo(t, tls, [...words, ...shows('client')])
    t.like(served.theirs[0], { version, protocol: 'b' })
    t.is(served.theirs[0]?.error, undefined)
    const ours = await served.ours.take()
    t.like(ours, { authorized: true, alpnProtocol: 'b' })
    t.is(ours.peerCertificate?.subject, 'CN=client')

    const refused = await clientOfGo(t, tls, words)
    t.regex(refused.theirs[0]?.error ?? '', /certificate required|handshake failure/)
    t.is(codeOf(await refused.errors.take()), 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE')

    const asking = [...words, ...shows('P-256'), ...trusts(), '--request-cert']
    const [[theirs, agreed] = []] = await serverOfGo(t, { ...client, ALPNProtocols: ['b'] }, asking)
    t.like(theirs, { protocol: 'b', peer: 'client' })
    t.like(agreed, { alpnProtocol: 'b', authorized: true })
  })

  goTest(`go: no application protocol in common, ${version}, both ways`, async (t) => {
    const words = ['--version', version, '--protocols', 'a']
    const served = await clientOfGo(t, { ...identities['P-256'], ALPNProtocols: ['b'] }, words)
    t.regex(served.theirs[0]?.error ?? '', /no application protocol/)
    const dialing = serverOfGo(t, { ALPNProtocols: ['b'] }, [...words, ...shows('P-256')])
    const error = (await rejection(dialing)) as Error
    t.is(codeOf(error), 'ERR_TLS_ALERT')
    t.regex(error.message, /no_application_protocol/)
  })
}

goTest('go: TLS 1.1 is refused, both ways', async (t) => {
  const words = ['--version', 'TLSv1.1']
  const { theirs, errors } = await clientOfGo(t, identities['P-256'], words)
  t.regex(theirs[0]?.error ?? '', /protocol version|handshake failure/)
  t.is(codeOf(await errors.take()), 'ERR_TLS_PROTOCOL')
  const dialing = serverOfGo(t, {}, [...words, ...shows('P-256')])
  t.is(codeOf(await rejection(dialing)), 'ERR_TLS_ALERT')
})
