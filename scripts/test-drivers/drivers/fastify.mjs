import * as http from 'node:http'
import * as https from 'node:https'
import fastify from 'fastify'

import { serverProgram } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  securities,

  prepare: (context) =>
    serverProgram(context, async (options, hung) => {
      let server
      const serverFactory = (answer) => {
        server = options === undefined ? http.createServer(answer) : https.createServer(options, answer)
        return server
      }
      const app = fastify({ serverFactory, bodyLimit: 2 ** 24 })
      app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
      app.get('/work', (request) => `a word for ${request.ip}`)
      app.post('/echo', (request) => request.body)
      app.get('/hang', (_request, reply) => {
        hung(reply.raw)
        reply.hijack()
        reply.raw.writeHead(200)
        reply.raw.write('the beginning')
      })
      await app.ready()
      return server
    }),
}
