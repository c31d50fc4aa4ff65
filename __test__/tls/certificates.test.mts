import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import test, { type ExecutionContext } from 'ava'

import { type ClientTlsOptions, createServer, Dialer, type ServerTlsOptions } from '../../dist/index.mjs'
import {
  algorithms,
  Authority,
  type Identity,
  type Leaf,
  ofClient,
  ofServer,
  patient,
} from '../support/certificates.mjs'
import { codeOf, framing, portOf } from '../support/netpoll.mjs'

const root = new Authority({ name: 'root' })
const otherRoot = new Authority({ name: 'other root' })
const intermediate = root.authority()
const good = root.issue()
const chained = intermediate.issue()
const selfSigned = new Authority({ name: 'localhost', extensions: ['subjectAltName=DNS:localhost'] })
const selfIssued = new Authority({
  name: 'localhost',
  extensions: ['subjectAltName=DNS:localhost', 'basicConstraints=critical,CA:FALSE'],
})

/** The certificate alone, without those that lead to its root. */
const alone = ({ key, cert }: Identity): Identity => ({
  key,
  cert: cert.slice(0, cert.indexOf('-----END CERTIFICATE-----') + 26),
})

interface Case {
  readonly what: string
  readonly identity: Identity
  readonly client?: ClientTlsOptions & { readonly ca?: string | readonly string[] }
  /** What is dialed. Default: `localhost`. */
  readonly host?: string
}

const ca = root.cert
const unconstrained = ['extendedKeyUsage=serverAuth', 'basicConstraints=critical,CA:FALSE']
const ofAuthority = 'basicConstraints=critical,CA:TRUE'
/** A server's, for these names. */
const named = (...names: readonly string[]): Identity =>
  root.issue({ name: 'server', extensions: [`subjectAltName=${names.join()}`, ...unconstrained] })
/** One for `localhost` below an authority that is as given. */
const below = (leaf: Omit<Leaf, 'name'>): Identity => root.authority('intermediate', leaf).issue()
const ofExpired = { name: 'expired root', key: new Authority().key }
const expiredRoot = new Authority({ ...ofExpired, days: [-10, -1] })
/** Its root has the name of `root`, and another key. */
const impostor = new Authority({ name: 'root' }).issue()

/** With one bit of the signature's last byte turned over. */
function forged({ key, cert }: Identity): Identity {
  const der = Buffer.from(cert.replaceAll(/-----[A-Z ]+-----|\s/g, ''), 'base64')
  der[der.length - 1] = (der.at(-1) as number) ^ 1
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return { key, cert: `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n` }
}

const ofNames: readonly Case[] = [
  { what: 'an address among its names', identity: good, host: '127.0.0.1' },
  { what: 'an address, and only a name', identity: named('DNS:localhost'), host: '127.0.0.1' },
  { what: 'another address among its names', identity: named('IP:127.0.0.2'), host: '127.0.0.1' },
  { what: 'an address as the name of a host', identity: named('DNS:127.0.0.1'), host: '127.0.0.1' },
  { what: 'a name, and only an address', identity: named('IP:127.0.0.1') },
  {
    what: 'a name that any stands for',
    identity: named('DNS:*.test'),
    client: { servername: 'a.test' },
  },
  {
    what: 'two labels that any stands for',
    identity: named('DNS:*.test'),
    client: { servername: 'a.b.test' },
  },
  { what: 'no label that any stands for', identity: named('DNS:*.a.test'), client: { servername: 'a.test' } },
  { what: 'any within a label', identity: named('DNS:a*.b.test'), client: { servername: 'ab.b.test' } },
  { what: 'another case', identity: named('DNS:LocalHost') },
  { what: 'the second of its names', identity: named('DNS:a.test', 'DNS:localhost') },
  { what: 'no names but its subject', identity: root.issue({ extensions: unconstrained }) },
  {
    what: 'no names but another subject',
    identity: root.issue({ name: 'other.test', extensions: unconstrained }),
  },
  {
    what: 'a subject that is not among its names',
    identity: root.issue({ extensions: ['subjectAltName=DNS:a.test', ...unconstrained] }),
  },
  { what: 'an address for a mail', identity: named('email:a@localhost') },
]

const ofChains: readonly Case[] = [
  { what: 'below an expired root', identity: expiredRoot.issue(), client: { ca: expiredRoot.cert } },
  { what: 'below an expired authority', identity: below({ days: [-10, -1] }) },
  { what: 'below an authority that is not valid yet', identity: below({ days: [1, 10] }) },
  {
    what: 'below what is no authority',
    identity: below({ extensions: ['basicConstraints=critical,CA:FALSE'] }),
  },
  {
    what: 'below what does not say that it is an authority',
    identity: below({ extensions: ['keyUsage=keyCertSign'] }),
  },
  {
    what: 'below an authority that may not sign',
    identity: below({ extensions: [ofAuthority, 'keyUsage=critical,cRLSign'] }),
  },
  {
    what: 'below an authority for clients',
    identity: below({ extensions: [ofAuthority, 'extendedKeyUsage=clientAuth'] }),
  },
  {
    what: 'below too many authorities',
    identity: root
      .authority('short', { extensions: ['basicConstraints=critical,CA:TRUE,pathlen:0'] })
      .authority('deep')
      .issue(),
  },
  {
    what: 'a name that its authority may not give',
    identity: below({ extensions: [ofAuthority, 'nameConstraints=critical,permitted;DNS:test'] }),
  },
  {
    what: 'a name that its authority may give',
    identity: below({
      extensions: [
        ofAuthority,
        'nameConstraints=critical,permitted;DNS:localhost,permitted;IP:127.0.0.0/255.0.0.0',
      ],
    }),
  },
  { what: 'a forged signature', identity: forged(good) },
  { what: 'a root of the same name', identity: impostor },
  {
    what: 'certificates that have nothing to do with it',
    identity: { ...good, cert: good.cert + otherRoot.cert },
  },
  {
    what: 'certificates in another order',
    identity: ((): Identity => {
      const { key, cert } = root.authority('upper').authority('lower').issue()
      const [leaf, ...others] = cert.split(/(?<=END CERTIFICATE-----\n)/)
      return { key, cert: [leaf, ...others.reverse()].join('') }
    })(),
  },
  {
    what: 'for any usage',
    identity: root.issue({
      extensions: ['subjectAltName=DNS:localhost', 'extendedKeyUsage=anyExtendedKeyUsage'],
    }),
  },
  {
    what: 'for no usage that is listed',
    identity: root.issue({ extensions: ['subjectAltName=DNS:localhost'] }),
  },
  ...[false, true].map((isLast) => {
    const renewed = new Authority(ofExpired)
    const roots = [renewed.cert, expiredRoot.cert]
    return {
      what: `below a root that was renewed with its key, listed ${isLast ? 'last' : 'first'}`,
      identity: expiredRoot.issue(),
      client: { ca: isLast ? roots.reverse() : roots },
    }
  }),
  ...['clientAuth', 'serverAuth'].map((usage) => {
    const authority = new Authority({ extensions: [ofAuthority, `extendedKeyUsage=${usage}`] })
    return { what: `below a root for ${usage}`, identity: authority.issue(), client: { ca: authority.cert } }
  }),
  ...['cRLSign', 'keyCertSign'].map((usage) => {
    const authority = new Authority({ extensions: [ofAuthority, `keyUsage=critical,${usage}`] })
    return { what: `below a root for ${usage}`, identity: authority.issue(), client: { ca: authority.cert } }
  }),
  ...['cRLSign', 'digitalSignature', 'keyEncipherment', 'keyAgreement', 'nonRepudiation'].map((usage) => ({
    what: `with a key for ${usage}`,
    identity: root.issue({ extensions: [...ofServer, `keyUsage=critical,${usage}`] }),
  })),
  { what: 'self-signed, listed and expired', ...listed({ days: [-10, -1] }) },
  { what: 'self-signed, listed and for clients', ...listed({ extensions: ofClient }) },
  {
    what: 'self-signed, listed and with a key for certificates',
    ...listed({ extensions: ['subjectAltName=DNS:localhost', 'keyUsage=critical,keyCertSign'] }),
  },
  ...(['P-384', 'RSA', 'Ed25519'] as const).map((kind) => ({
    what: `signed and signing by ${kind}`,
    ...((): Pick<Case, 'identity' | 'client'> => {
      const algorithm = algorithms[kind]
      const authority = new Authority({ name: kind, algorithm })
      return { identity: authority.issue({ algorithm }), client: { ca: authority.cert } }
    })(),
  })),
]

function listed(leaf: Leaf): Pick<Case, 'identity' | 'client'> {
  const extensions = ['subjectAltName=DNS:localhost']
  const identity = new Authority({ name: 'localhost', extensions, ...leaf })
  return { identity, client: { ca: identity.cert } }
}

const cases: readonly Case[] = [
  ...ofNames,
  ...ofChains,
  { what: 'trusted', identity: good },
  { what: 'trusted by way of an intermediate', identity: chained },
  {
    what: 'an intermediate that only the client has',
    identity: alone(chained),
    client: { ca: [ca, intermediate.cert] },
  },
  { what: 'a missing intermediate', identity: alone(chained) },
  { what: 'another root', identity: good, client: { ca: otherRoot.cert } },
  { what: 'another root, by way of an intermediate', identity: chained, client: { ca: otherRoot.cert } },
  {
    what: 'the root is shown, and not trusted',
    identity: { ...good, cert: good.cert + ca },
    client: { ca: otherRoot.cert },
  },
  { what: 'an intermediate in the place of a root', identity: chained, client: { ca: intermediate.cert } },
  {
    what: 'the same, which is allowed',
    identity: chained,
    client: { ca: intermediate.cert, allowPartialTrustChain: true },
  },
  { what: 'self-signed', identity: selfSigned },
  { what: 'self-signed and listed', identity: selfSigned, client: { ca: selfSigned.cert } },
  { what: 'self-signed, listed, and no authority', identity: selfIssued, client: { ca: selfIssued.cert } },
  { what: 'expired', identity: root.issue({ days: [-10, -1] }) },
  { what: 'not yet valid', identity: root.issue({ days: [1, 10] }) },
  {
    what: 'expired and of another root',
    identity: root.issue({ days: [-10, -1] }),
    client: { ca: otherRoot.cert },
  },
  { what: 'for clients', identity: root.issue({ extensions: ofClient }) },
  { what: 'of another name', identity: good, client: { servername: 'other.example' } },
  { what: 'issued by a leaf', identity: new Authority({ name: 'leaf', extensions: ofServer }, root).issue() },
]

/** What Node.js's own client says. */
async function codeOfNode(
  port: number,
  options: ClientTlsOptions,
  host = 'localhost',
): Promise<string | undefined> {
  // Where the machine is slow, its attempt at one address must not be given up for another.
  const patience = { autoSelectFamilyAttemptTimeout: 600_000 }
  const socket = tls.connect({ port, host, ...patience, ...(options as tls.ConnectionOptions) })
  try {
    await once(socket, 'secureConnect')
    return undefined
  } catch (error) {
    return String(codeOf(error))
  } finally {
    socket.destroy()
  }
}

async function dialCode(
  port: number,
  options: ClientTlsOptions,
  host = 'localhost',
): Promise<string | undefined> {
  try {
    const connection = await new Dialer({ framing, tls: options }).dial({ host, port })
    await connection.close()
    return undefined
  } catch (error) {
    return String(codeOf(error))
  }
}

async function serveTls(t: ExecutionContext, options: ServerTlsOptions): Promise<number> {
  const server = createServer({ framing, tls: { ...options, ...patient } }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host: '127.0.0.1', port: 0 })
  return portOf(server)
}

for (const { what, identity, client, host = 'localhost' } of cases) {
  test(`a dialer says of a server what Node.js says: ${what}`, async (t) => {
    const port = await serveTls(t, identity)
    const options = { ca, ...client }
    t.is(await dialCode(port, options, host), await codeOfNode(port, options, host))
    // What is no reason to end is told.
    const connection = await new Dialer({
      framing,
      tls: { ...options, rejectUnauthorized: false },
    }).dial({ host, port })
    const expected = await dialCode(port, options, host)
    t.is(connection.tls?.authorizationError, expected)
    t.is(connection.tls?.authorized, expected === undefined)
    await connection.close()
  })
}

test('what the library cannot read is refused, as Node.js refuses it', async (t) => {
  const extensions = [...ofServer, '1.2.3.4=critical,DER:0500']
  const identity = root.issue({ extensions })
  const server = tls.createServer(identity, (socket) => socket.on('error', () => {}))
  t.teardown(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  t.is(await dialCode(port, { ca }), await codeOfNode(port, { ca }))
  // No client would take it.
  t.throws(() => createServer({ framing, tls: identity }, (request) => request), {
    code: 'ERR_INVALID_ARG_VALUE',
  })
})

test('an authority is no certificate of a server, unless it is listed itself', async (t) => {
  const identity = root.issue({ extensions: ['subjectAltName=DNS:localhost', ofAuthority] })
  const port = await serveTls(t, identity)
  t.is(await dialCode(port, { ca }), 'CERT_REJECTED')
  t.is(await dialCode(port, { ca: [ca, identity.cert], allowPartialTrustChain: true }), undefined)
})
