import { createCipheriv, createHmac } from 'node:crypto'
import { Duplex } from 'node:stream'
import { connect, createServer } from 'node:tls'

import type { Identity } from './certificates.mjs'
import { deferred } from './deferred.mjs'
import type { Peer } from './peer.mjs'

/** An alert: its level, and what it says. */
export type Alert = readonly [level: number, description: number]

const options = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.2',
  ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256',
} as const
const changeCipherSpec = 20
const alertType = 21
/** Where a ServerHello that begins a record has its random number, and where that ends. */
const random = [11, 43] as const

/**
 * Shakes hands by OpenSSL with what is at the other end of `peer`, as TLS 1.2 has it. In the place of the message that would
 * end that, the peer sends `alerts`, encrypted.
 */
export async function endEncrypted(
  peer: Peer,
  role: 'server' | 'client',
  { key, cert }: Identity,
  alerts: readonly Alert[],
): Promise<void> {
  const ended = deferred()
  const state: { serverRandom?: Buffer; keyLog?: string; isEncrypted: boolean } = { isEncrypted: false }
  const forward = (record: Buffer): void => {
    if (!state.isEncrypted) {
      if (role === 'server') state.serverRandom ??= record.subarray(...random)
      state.isEncrypted = record[0] === changeCipherSpec
      peer.write(record).catch(ended.reject)
      return
    }
    const keys = keysOf(role, state.keyLog, state.serverRandom)
    const records = alerts.map((alert, sequence) => encrypted(keys, alert, sequence))
    peer.write(Buffer.concat(records)).then(ended.resolve, ended.reject)
  }
  let kept: Buffer = Buffer.alloc(0)
  const stream = new Duplex({
    read() {},
    write(bytes: Buffer, _encoding, done) {
      kept = Buffer.concat([kept, bytes])
      while (kept.length >= 5 && kept.length >= 5 + kept.readUInt16BE(3)) {
        const end = 5 + kept.readUInt16BE(3)
        forward(kept.subarray(0, end))
        kept = kept.subarray(end)
      }
      done()
    },
  })
  const noteKeys = (line: Buffer): void => {
    state.keyLog ??= String(line)
  }
  if (role === 'server') {
    const server = createServer({ key, cert, ...options }).on('keylog', noteKeys)
    server.on('tlsClientError', () => {})
    server.emit('connection', stream)
  } else {
    const client = connect({ socket: stream, servername: 'localhost', rejectUnauthorized: false, ...options })
    client.on('keylog', noteKeys).on('error', () => {})
  }
  const pump = async (): Promise<void> => {
    for (;;) {
      const header = await peer.read(5)
      const record = Buffer.concat([header, await peer.read(header.readUInt16BE(3))])
      if (role === 'client') state.serverRandom ??= record.subarray(...random)
      stream.push(record)
    }
  }
  // It ends with the socket.
  pump().catch(ended.reject)
  await ended.promise
  stream.destroy()
}

interface Keys {
  readonly key: Buffer
  readonly iv: Buffer
}

/** What this role encrypts with (RFC 5246, 6.3). */
function keysOf(role: 'server' | 'client', keyLog = '', serverRandom: Buffer = Buffer.alloc(0)): Keys {
  const [, clientRandom, master] = keyLog.trim().split(' ')
  const secret = Buffer.from(String(master), 'hex')
  const seed = Buffer.concat([
    Buffer.from('key expansion'),
    serverRandom,
    Buffer.from(String(clientRandom), 'hex'),
  ])
  const hash = (bytes: Buffer): Buffer => createHmac('sha256', secret).update(bytes).digest()
  const one = hash(seed)
  const block = Buffer.concat([hash(Buffer.concat([one, seed])), hash(Buffer.concat([hash(one), seed]))])
  const [key, iv] = role === 'client' ? [0, 32] : [16, 36]
  return { key: block.subarray(key, key + 16), iv: block.subarray(iv, iv + 4) }
}

/** A record with an alert (RFC 5288, 3). */
function encrypted({ key, iv }: Keys, alert: Alert, sequence: number): Buffer {
  const number = Buffer.alloc(8)
  number.writeBigUInt64BE(BigInt(sequence))
  const cipher = createCipheriv('aes-128-gcm', key, Buffer.concat([iv, number]))
  cipher.setAAD(Buffer.concat([number, Buffer.from([alertType, 3, 3, 0, alert.length])]))
  const text = Buffer.concat([cipher.update(Buffer.from(alert)), cipher.final(), cipher.getAuthTag()])
  const header = Buffer.from([alertType, 3, 3, 0, number.length + text.length])
  return Buffer.concat([header, number, text])
}
