// node node-server.mjs <kind> <plain|tls> <port>: `/work` answers a word, `/echo` the body, `/hang` begins an answer.

import * as http from 'node:http'
import * as http2 from 'node:http2'
import * as https from 'node:https'

import { certificate as cert, key } from '../certificate.mjs'

const [kind, security, port] = process.argv.slice(2)
const isSecure = security === 'tls'

function answer(request, response) {
  if (request.url === '/echo') request.pipe(response)
  else if (request.url === '/hang') response.write('the beginning')
  else response.end('a word')
}

const httpServer = (listener) =>
  isSecure ? https.createServer({ key, cert }, listener) : http.createServer(listener)

const kinds = {
  http: () => httpServer(answer),
  http2: () => (isSecure ? http2.createSecureServer({ key, cert }, answer) : http2.createServer(answer)),
  async ws() {
    const { WebSocketServer } = await import('ws')
    const server = httpServer()
    new WebSocketServer({ server, maxPayload: 2 ** 24 }).on('connection', (socket) => {
      socket.on('message', (message, isBinary) => {
        if (String(message) !== 'hang') socket.send(message, { binary: isBinary })
      })
    })
    return server
  },
  async 'socket.io'() {
    const { Server } = await import('socket.io')
    const server = httpServer()
    new Server(server, { maxHttpBufferSize: 2 ** 24 }).on('connection', (socket) => {
      socket.on('echo', (value, reply) => reply(value))
    })
    return server
  },
  async smtp() {
    const { SMTPServer } = await import('smtp-server')
    return new SMTPServer({
      key,
      cert,
      secure: isSecure,
      authOptional: true,
      onData(stream, _session, callback) {
        let length = 0
        stream.on('data', (bytes) => {
          length += bytes.length
        })
        stream.once('end', () => callback(null, `${length} bytes`))
      },
    })
  },
}

const server = await kinds[kind]()
// Clients go as they like, before they have shaken hands, too.
server.on('error', (error) => console.error(error))
server.listen(Number(port), '127.0.0.1')
