import * as http from 'node:http'
import * as https from 'node:https'
import Koa from 'koa'

import { serverProgram } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  securities,

  prepare: (context) =>
    serverProgram(context, (options, hung) => {
      const app = new Koa()
      app.on('error', () => {})
      app.use((call) => {
        if (call.path === '/echo') {
          call.type = 'application/octet-stream'
          call.body = call.req
        } else if (call.path === '/hang') {
          hung(call.res)
          call.respond = false
          call.res.writeHead(200)
          call.res.write('the beginning')
        } else call.body = `a word for ${call.ip}`
      })
      const answer = app.callback()
      return options === undefined ? http.createServer(answer) : https.createServer(options, answer)
    }),
}
