import * as http from 'node:http'
import * as https from 'node:https'
import httpProxy from 'http-proxy'

import { startNodeServer } from '../services/node.mjs'
import { agentOver, originOf, serverProgram } from '../support/http.mjs'
import { securities } from '../transports.mjs'

/** Both sides of the proxy are the transport's: what it serves, and what it dials. */
export default {
  securities,

  async prepare(context) {
    const { transport, use } = context
    const target = await use(await startNodeServer('http', transport.isSecure))
    const agent = agentOver(transport)
    const proxy = httpProxy.createProxyServer({
      target: originOf(transport, target.port),
      agent,
      secure: transport.isSecure,
    })
    proxy.on('error', (_error, _request, response) => response.destroy?.())
    const program = await serverProgram(context, (options, hung) => {
      const answer = (request, response) => {
        if (request.url === '/hang') hung(response)
        proxy.web(request, response)
      }
      return options === undefined ? http.createServer(answer) : https.createServer(options, answer)
    })
    return {
      ...program,
      async end() {
        agent.destroy()
        await program.end()
      },
    }
  },
}
