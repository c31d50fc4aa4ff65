import * as http from 'node:http'
import * as https from 'node:https'

import { serverProgram } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  title: '`node:http`, `node:https` (server)',
  securities,

  prepare: (context) =>
    serverProgram(context, (options, hung) => {
      const answer = (request, response) => {
        if (request.url === '/echo') request.pipe(response)
        else if (request.url === '/hang') {
          hung(response)
          response.write('the beginning')
        } else response.end(`a word for ${request.socket.remoteAddress}`)
      }
      return options === undefined ? http.createServer(answer) : https.createServer(options, answer)
    }),
}
