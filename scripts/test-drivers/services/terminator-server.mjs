// node terminator-server.mjs <port> <target>: takes TLS on the one port, and goes on in plain text to the other.

import { connect } from 'node:net'
import { createServer } from 'node:tls'

import { certificate as cert, key } from '../certificate.mjs'

const [port, target] = process.argv.slice(2).map(Number)
const server = createServer({ key, cert }, (outside) => {
  const inside = connect({ host: '127.0.0.1', port: target })
  for (const [one, other] of [
    [outside, inside],
    [inside, outside],
  ]) {
    one.on('error', () => {})
    one.once('close', () => other.destroy())
    one.pipe(other)
  }
})
server.listen(port, '127.0.0.1')
