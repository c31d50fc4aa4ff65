// Moves bytes over one stream of Node.js, a socket of `node:net` or `toDuplex()` of this package, from or to
// `netpoll-bench transfer-server`. Prints what it took as one line of JSON.

import { once } from 'node:events'
import { connect } from 'node:net'
import { parseArgs } from 'node:util'

import { readEndpoint } from '../servers/control.mjs'
import { netpoll } from '../servers/package.mjs'
import { decodeCount, DOWNLOAD, encodeCount, UPLOAD, writeBlocks } from '../servers/transfer-protocol.mjs'

const { values } = parseArgs({
  options: {
    tcp: { type: 'string' },
    unix: { type: 'string' },
    over: { type: 'string', default: 'net' },
    direction: { type: 'string', default: 'upload' },
    bytes: { type: 'string', default: '1048576' },
  },
})
const endpoint = readEndpoint(values.tcp, values.unix)
const bytes = Number(values.bytes)

/** @returns {Promise<import('node:stream').Duplex>} */
async function dial() {
  if (values.over === 'netpoll') {
    return (await new netpoll.Dialer({ allowHalfOpen: true }).dial(endpoint)).toDuplex()
  }
  const socket = connect({ ...endpoint, allowHalfOpen: true, noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** @param {import('node:stream').Duplex} stream */
async function upload(stream) {
  stream.write(Buffer.of(UPLOAD))
  writeBlocks(stream, bytes, () => stream.end())
  const counts = await stream.toArray()
  return decodeCount(Buffer.concat(counts))
}

/** @param {import('node:stream').Duplex} stream */
async function download(stream) {
  let received = 0
  stream.on('data', (chunk) => {
    received += chunk.length
  })
  stream.write(Buffer.concat([Buffer.of(DOWNLOAD), encodeCount(bytes)]))
  await once(stream, 'end')
  stream.end()
  return received
}

const stream = await dial()
const [began, before] = [performance.now(), process.cpuUsage()]
const moved = await (values.direction === 'upload' ? upload(stream) : download(stream))
const seconds = (performance.now() - began) / 1000
const { user, system } = process.cpuUsage(before)
if (moved !== bytes) throw new Error(`${moved} bytes came of ${bytes}`)
console.log(JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6 }))
process.exit()
