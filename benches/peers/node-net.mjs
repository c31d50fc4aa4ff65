// The peer: length-prefixed messages on plain `node:net` or `node:tls`, as one would write it, with a write for each
// reply. Corked by hand, the replies of a turn of the event loop leave in one system call.

import { createServer } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

import { announce, obeyStandardInput, readArguments } from '../servers/control.mjs'
import { ordinaryHandler } from '../servers/handler.mjs'
import { FrameCutter, frame } from './frames.mjs'

const { endpoint, tls, task, corked } = readArguments()
const handler = ordinaryHandler(task)

/** @param {import('node:net').Socket} socket */
function serve(socket) {
  const cutter = new FrameCutter()
  socket.on('data', (chunk) => {
    if (corked) socket.cork()
    for (const request of cutter.cut(chunk)) answer(socket, request)
    if (corked) setImmediate(uncork, socket)
  })
  socket.on('error', () => socket.destroy())
}

const server =
  tls === undefined
    ? createServer({ noDelay: true }, serve)
    : createTlsServer({ noDelay: true, ...tls }, serve)

/** @param {import('node:net').Socket} socket @param {Buffer} request */
async function answer(socket, request) {
  socket.write(frame(await handler(request)))
}

/** @param {import('node:net').Socket} socket */
const uncork = (socket) => socket.uncork()

server.listen(endpoint, () => announce(server.address()))
obeyStandardInput()
