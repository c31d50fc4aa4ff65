// Node's own HTTP server, over connections of this package or as it is.

import { createServer } from 'node:http'

import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { serveStreams } from './streams.mjs'

const BODY = 'Hello, world!\n'
const HEADERS = { 'content-type': 'text/plain', 'content-length': String(BODY.length) }

const server = createServer((_request, response) => {
  response.writeHead(200, HEADERS)
  response.end(BODY)
})
const settings = readArguments()
if (settings.over === 'netpoll') {
  await serveStreams(settings, (stream) => server.emit('connection', stream))
} else {
  server.listen(settings.endpoint, () => announce(server.address()))
  obeyStandardInput()
}
