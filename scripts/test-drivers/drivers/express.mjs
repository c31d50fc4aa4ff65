import * as http from 'node:http'
import * as https from 'node:https'
import express from 'express'

import { serverProgram } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  securities,

  prepare: (context) =>
    serverProgram(context, (options, hung) => {
      const app = express()
      app.get('/work', (request, response) => response.send(`a word for ${request.ip}`))
      app.post('/echo', express.raw({ type: () => true, limit: '16mb' }), (request, response) =>
        response.send(request.body),
      )
      app.get('/hang', (_request, response) => {
        hung(response)
        response.write('the beginning')
      })
      return options === undefined ? http.createServer(app) : https.createServer(options, app)
    }),
}
