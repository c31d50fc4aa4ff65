// The peer: length-prefixed messages on plain `node:net`, as one would write it.

import { createServer } from 'node:net'

import { announce, echoHandler, obeyStandardInput, readArguments } from './control.mjs'

const HEADER_SIZE = 4
const EMPTY = Buffer.alloc(0)

const { endpoint, hold, onConnect } = readArguments()
const handler = echoHandler(hold)

const server = createServer((socket) => {
  socket.setNoDelay(true)
  /** @type {Buffer} */
  let pending = EMPTY
  socket.on('data', (chunk) => {
    pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    let offset = 0
    while (pending.length - offset >= HEADER_SIZE) {
      const end = offset + HEADER_SIZE + pending.readUInt32BE(offset)
      if (pending.length < end) break
      answer(socket, pending.subarray(offset + HEADER_SIZE, end))
      offset = end
    }
    pending = offset === pending.length ? EMPTY : pending.subarray(offset)
  })
  socket.on('error', () => socket.destroy())
})
if (onConnect) server.on('connection', () => {})

/**
 * @param {import('node:net').Socket} socket
 * @param {Buffer} request
 */
async function answer(socket, request) {
  const reply = await handler(request)
  const frame = Buffer.allocUnsafe(HEADER_SIZE + reply.length)
  frame.writeUInt32BE(reply.length)
  frame.set(reply, HEADER_SIZE)
  socket.write(frame)
}

server.listen(endpoint, () => announce(server.address()))
obeyStandardInput()
