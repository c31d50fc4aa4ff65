// The peer of a transfer, on plain `node:net`: writes until `write` says no, and
// goes on at 'drain'.

import { createServer } from 'node:net'

import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { COUNT_SIZE, decodeCount, encodeCount, nextBlock, UPLOAD } from './transfer-protocol.mjs'

const { endpoint } = readArguments()

const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  /** @type {Buffer} */
  let head = Buffer.alloc(0)
  /** @param {Buffer} chunk */
  const readHead = (chunk) => {
    head = Buffer.concat([head, chunk])
    if (head[0] === UPLOAD) {
      socket.off('data', readHead)
      count(socket, head.length - 1)
    } else if (head.length > COUNT_SIZE) {
      socket.off('data', readHead)
      send(socket, decodeCount(head.subarray(1)))
    }
  }
  socket.on('data', readHead)
  socket.on('error', () => socket.destroy())
})

/**
 * @param {import('node:net').Socket} socket
 * @param {number} received Bytes that have come already.
 */
function count(socket, received) {
  socket.on('data', (chunk) => {
    received += chunk.length
  })
  socket.on('end', () => socket.end(encodeCount(received)))
}

/**
 * @param {import('node:net').Socket} socket
 * @param {number} left
 */
function send(socket, left) {
  // So that the client's end is seen.
  socket.resume()
  const fill = () => {
    while (left > 0) {
      const block = nextBlock(left)
      left -= block.length
      if (!socket.write(block)) {
        socket.once('drain', fill)
        return
      }
    }
    socket.end()
  }
  fill()
}

server.listen(endpoint, () => announce(server.address()))
obeyStandardInput()
