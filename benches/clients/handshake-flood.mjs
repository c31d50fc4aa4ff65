// Begins handshakes as fast as the server answers, and finishes none: each costs the server its part of the work, and this
// end next to nothing. Ends with its standard input.
//
//   node handshake-flood.mjs --tcp 127.0.0.1:8000

import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { parseArgs } from 'node:util'

/** Handshakes at a time. */
const AT_ONCE = 64

const { values } = parseArgs({ options: { tcp: { type: 'string', default: '' } } })
const [host = '', port] = values.tcp.split(':')

/** What a client of TLS 1.3 says first. */
async function firstWords() {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: own } = /** @type {import('node:net').AddressInfo} */ (server.address())
  const options = { host: '127.0.0.1', port: own, servername: 'localhost', ecdhCurve: 'X25519' }
  const client = connectTls({ ...options, minVersion: 'TLSv1.3' }).on('error', () => {})
  const [socket] = await once(server, 'connection')
  const [hello] = await once(socket, 'data')
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

const hello = await firstWords()
let answered = 0
let isOver = false

function begin() {
  if (isOver) return
  const socket = connect({ host, port: Number(port) })
  socket.on('error', () => {})
  socket.once('data', () => {
    answered += 1
    // No port waits for a while, so that there are always some.
    socket.resetAndDestroy()
  })
  socket.once('close', begin)
  socket.write(hello)
}

for (let count = 0; count < AT_ONCE; count += 1) begin()
process.stdout.write('flood ready\n')
process.stdin.resume().once('end', () => {
  isOver = true
  process.stdout.write(`answered ${answered}\n`, () => process.exit(0))
})
