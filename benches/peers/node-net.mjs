// The peer: length-prefixed messages on plain `node:net`, as one would write it, with a write for each
// reply.

import { createServer } from 'node:net'

import { announce, obeyStandardInput, readArguments } from '../servers/control.mjs'
import { ordinaryHandler } from '../servers/handler.mjs'
import { FrameCutter, frame } from './frames.mjs'

const { endpoint, task } = readArguments()
const handler = ordinaryHandler(task)

const server = createServer({ noDelay: true }, (socket) => {
  const cutter = new FrameCutter()
  socket.on('data', (chunk) => {
    for (const request of cutter.cut(chunk)) answer(socket, request)
  })
  socket.on('error', () => socket.destroy())
})

/**
 * @param {import('node:net').Socket} socket
 * @param {Buffer} request
 */
async function answer(socket, request) {
  socket.write(frame(await handler(request)))
}

server.listen(endpoint, () => announce(server.address()))
obeyStandardInput()
