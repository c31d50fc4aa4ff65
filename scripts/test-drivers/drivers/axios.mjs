import { once } from 'node:events'
import axios from 'axios'

import { agentOver, clientProgram } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  securities,

  prepare: (context) =>
    clientProgram(context, {
      open() {
        const agent = agentOver(context.transport)
        const options = { httpAgent: agent, httpsAgent: agent, proxy: false, maxBodyLength: 2 ** 24 }
        return { agent, axios: axios.create(options) }
      },
      async ask(client, url, data) {
        const method = data === undefined ? 'get' : 'post'
        const headers = { 'content-type': 'application/octet-stream' }
        const answer = await client.axios({ url, method, data, headers, responseType: 'arraybuffer' })
        return Buffer.from(answer.data)
      },
      async begin(client, url) {
        const { data } = await client.axios({ url, responseType: 'stream' })
        await once(data, 'data')
        return { ended: once(data, 'end') }
      },
      close: ({ agent }) => agent.destroy(),
    }),
}
