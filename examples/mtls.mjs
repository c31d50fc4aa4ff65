// RPC between services that know each other by certificates (mTLS).
// `node examples/mtls.mjs`, which needs `openssl`.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { lengthField } from 'netpoll'
import { RpcError, TransportClient, TransportServer } from 'netpoll/rpc'

const folder = mkdtempSync(join(tmpdir(), 'mtls-'))
process.once('exit', () => rmSync(folder, { recursive: true }))
/** @param {string} name */
const read = (name) => readFileSync(join(folder, name), 'utf8')
/** @param {string[]} words */
const openssl = (...words) => execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' })
const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

// Who runs services has an authority of its own, whose key is kept elsewhere.
openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=example authority')

/**
 * A key, and a certificate of the authority for it.
 * @param {string} name
 * @param {string} extensions
 */
function issue(name, extensions) {
  openssl('req', '-new', ...newKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
  writeFileSync(join(folder, 'extensions'), extensions)
  const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'extensions']
  openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, '-days', '30', ...by)
  return { key: read(`${name}.key`), cert: read(`${name}.pem`) }
}

const forServers = 'subjectAltName=DNS:orders.internal\nextendedKeyUsage=serverAuth'
const forClients = 'extendedKeyUsage=clientAuth'
const ca = read('ca.pem')

/** @type {import('netpoll/rpc').Codec} */
const codec = {
  framing: lengthField({ size: 4, maxLength: 1024 * 1024 }),
  id: { offset: 0, size: 4 },
  encode({ id, ...message }, writer) {
    writer.writeUint(id, 4)
    const error = message.kind === 'error' ? { error: String(message.error) } : {}
    writer.writeString(JSON.stringify({ ...message, ...error }))
  },
  decode(bytes) {
    const message = { ...JSON.parse(bytes.toString('utf8', 4)), id: bytes.readUInt32BE(0) }
    if (message.kind === 'error') message.error = new RpcError('ERR_RPC_INTERNAL', message.error)
    return message
  },
}

// Only clients with a certificate of the authority are heard. Others are told of here, and nowhere else.
/** @type {Set<string | undefined>} */
const refused = new Set()
const tls = {
  ...issue('orders', forServers),
  ca,
  requestCert: true,
  onHandshakeError: (/** @type {NodeJS.ErrnoException} */ error) => refused.add(error.code),
}
const service = new TransportServer(
  codec,
  {
    onRequest: ({ connection }) => {
      const { peerCertificate } = connection.tls ?? {}
      return `hello ${peerCertificate?.subject}, says ${peerCertificate?.issuer}`
    },
  },
  { tls },
)
await service.listen({ host: '127.0.0.1', port: 0 })
const { port } = /** @type {import('netpoll').TcpAddress} */ (service.address())

// The name that the certificate must have, whatever address is dialed.
const shop = { ca, servername: 'orders.internal', ...issue('shop', forClients) }
const client = new TransportClient({ host: '127.0.0.1', port }, codec, { tls: shop })
console.log(await client.call('greet', []))
await client.close()

const stranger = new TransportClient({ host: '127.0.0.1', port }, codec, {
  tls: { ca, servername: 'orders.internal' },
  onError: () => {},
})
await stranger.call('greet', []).catch(() => console.log('a client without a certificate is not served'))
await stranger.close()
await service.close()
console.log('refused:', ...refused)
