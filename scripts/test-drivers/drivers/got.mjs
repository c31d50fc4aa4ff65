import { once } from 'node:events'
import { got } from 'got'

import { certificate } from '../certificate.mjs'
import { agentOver, clientProgram } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  securities,

  prepare: (context) => {
    const { isSecure } = context.transport
    return clientProgram(context, {
      open() {
        const agent = agentOver(context.transport)
        const options = { agent: isSecure ? { https: agent } : { http: agent }, retry: { limit: 0 } }
        return { agent, got: got.extend({ ...options, https: { certificateAuthority: certificate } }) }
      },
      ask: (client, url, body) =>
        (body === undefined ? client.got(url) : client.got.post(url, { body })).buffer(),
      async begin(client, url) {
        const stream = client.got.stream(url)
        await once(stream, 'data')
        return { ended: once(stream, 'end') }
      },
      close: ({ agent }) => agent.destroy(),
    })
  },
}
