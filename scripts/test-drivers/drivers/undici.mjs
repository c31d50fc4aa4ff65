import { once } from 'node:events'
import { Client } from 'undici'

import { certificate } from '../certificate.mjs'
import { clientProgram } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  securities,

  prepare: (context) => {
    const { transport } = context
    const connect =
      transport.name === 'net'
        ? { ca: certificate }
        : ({ port }, callback) => {
            transport.connect({ port: Number(port) }).then((socket) => callback(null, socket), callback)
          }
    const ask = async (client, url, body) => {
      const { pathname: path } = new URL(url)
      const method = body === undefined ? 'GET' : 'POST'
      const answer = await client.request({ path, method, body })
      return Buffer.from(await answer.body.arrayBuffer())
    }
    return clientProgram(context, {
      open: (origin) => new Client(origin, { connect }),
      ask,
      async begin(client) {
        const { body } = await client.request({ path: '/hang', method: 'GET' })
        await once(body, 'data')
        return { ended: once(body, 'end') }
      },
      close: (client) => client.close(),
    })
  },
}
