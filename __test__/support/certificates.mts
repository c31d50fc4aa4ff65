import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A key and its certificate, in PEM. */
export interface Identity {
  readonly key: string
  readonly cert: string
}

/** Of ends in the process of the test, which may stand still for longer than a handshake takes by default. */
export const patient = { handshakeTimeout: 0 } as const

/** What a certificate says that is issued. */
export interface Leaf {
  readonly name?: string
  /** Extensions as `openssl` has them. Default: those of a server called `localhost`. */
  readonly extensions?: readonly string[]
  /** Days from now at which it begins and ends. */
  readonly days?: readonly [number, number]
  /** Its key, as `openssl genpkey` makes it. Default: one for ECDSA, of the curve P-256. */
  readonly algorithm?: readonly string[]
  /** A key in PEM that is there already. Default: one of its own. */
  readonly key?: string
}

/** Kinds of keys, as {@link Leaf.algorithm} has them. */
export const algorithms = {
  'P-256': ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  RSA: ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  Ed25519: ['ED25519'],
} as const

/** A kind of key. */
export type KeyKind = keyof typeof algorithms

export const keyKinds = Object.keys(algorithms) as readonly KeyKind[]

/** A certificate with its key, made by `openssl`, that may issue others. */
export class Authority implements Identity {
  readonly key: string
  readonly cert: string
  readonly #folder: string
  readonly #issuer: Authority | undefined

  constructor(leaf: Leaf = {}, issuer?: Authority) {
    this.#folder = mkdtempSync(join(tmpdir(), 'netpoll-tls-'))
    this.#issuer = issuer
    const { name = 'root', extensions = ['basicConstraints=critical,CA:TRUE'], days = [-1, 365] } = leaf
    const { algorithm = algorithms['P-256'] } = leaf
    const path = (file: string): string => join(this.#folder, file)
    if (leaf.key === undefined) openssl('genpkey', '-algorithm', ...algorithm, '-out', path('key.pem'))
    else writeFileSync(path('key.pem'), leaf.key)
    openssl('req', '-new', '-key', path('key.pem'), '-subj', `/CN=${name}`, '-out', path('request.pem'))
    writeFileSync(path('extensions'), `${extensions.join('\n')}\n`)
    if (issuer !== undefined) {
      writeFileSync(path('issuer.pem'), issuer.cert)
      writeFileSync(path('issuer-key.pem'), issuer.key)
    }
    writeFileSync(path('index.txt'), '')
    writeFileSync(
      path('serial'),
      `${Math.floor(Math.random() * 2 ** 31)
        .toString(16)
        .padStart(8, '0')}\n`,
    )
    writeFileSync(
      path('ca.cnf'),
      `[ca]\ndefault_ca=us\n[us]\ndatabase=${path('index.txt')}\nserial=${path('serial')}\nnew_certs_dir=${this.#folder}\n` +
        'default_md=default\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n',
    )
    const by =
      issuer === undefined
        ? ['-selfsign', '-keyfile', path('key.pem')]
        : ['-cert', path('issuer.pem'), '-keyfile', path('issuer-key.pem')]
    openssl(
      ...['ca', '-batch', '-notext', '-config', path('ca.cnf'), '-in', path('request.pem'), ...by],
      ...['-extfile', path('extensions'), '-startdate', date(days[0]), '-enddate', date(days[1])],
      ...['-out', path('cert.pem')],
    )
    this.key = readFileSync(path('key.pem'), 'utf8')
    this.cert = readFileSync(path('cert.pem'), 'utf8')
    rmSync(this.#folder, { recursive: true })
  }

  /** An authority below this one. */
  authority(name = 'intermediate', leaf: Omit<Leaf, 'name'> = {}): Authority {
    return new Authority({ extensions: ['basicConstraints=critical,CA:TRUE'], ...leaf, name }, this)
  }

  /** A certificate, and those that lead to this authority, without the root. */
  issue(leaf: Leaf = {}): Identity {
    const { key, cert } = new Authority({ name: 'localhost', extensions: ofServer, ...leaf }, this)
    return { key, cert: cert + this.#between() }
  }

  #between(): string {
    return this.#issuer === undefined ? '' : this.cert + this.#issuer.#between()
  }
}

/** Of a server on this host. */
export const ofServer: readonly string[] = [
  'subjectAltName=DNS:localhost,IP:127.0.0.1',
  'extendedKeyUsage=serverAuth',
  'basicConstraints=critical,CA:FALSE',
]

/** Of a client. */
export const ofClient: readonly string[] = [
  'extendedKeyUsage=clientAuth',
  'basicConstraints=critical,CA:FALSE',
]

function openssl(...words: readonly string[]): void {
  execFileSync('openssl', words, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function date(days: number): string {
  const time = new Date(Date.now() + days * 86_400_000)
  return `${time.toISOString().replaceAll(/[-:T]/g, '').slice(0, 14)}Z`
}

/** An identity with a key of each kind, issued by `root`. */
export function identitiesOf(root: Authority): Readonly<Record<KeyKind, Identity>> {
  const issued = (kind: KeyKind): Identity => root.issue({ algorithm: algorithms[kind] })
  return {
    'P-256': issued('P-256'),
    'P-384': issued('P-384'),
    RSA: issued('RSA'),
    Ed25519: issued('Ed25519'),
  }
}
