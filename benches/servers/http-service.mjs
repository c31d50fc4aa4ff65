// Node's own HTTP server, whatever its connections are made of.

import { createServer } from 'node:http'

const BODY = 'Hello, world!\n'
const HEADERS = { 'content-type': 'text/plain', 'content-length': String(BODY.length) }

/** A server that answers every request alike. */
export const createHttpServer = () =>
  createServer((_request, response) => {
    response.writeHead(200, HEADERS)
    response.end(BODY)
  })
