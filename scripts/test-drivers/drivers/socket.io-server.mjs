import { once } from 'node:events'
import * as http from 'node:http'
import * as https from 'node:https'
import { Server } from 'socket.io'
import { io } from 'socket.io-client'

import { certificate, key } from '../certificate.mjs'
import { originOf } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  title: '`socket.io` (server)',
  securities,

  async prepare({ transport }) {
    const server = transport.addsTls ? https.createServer({ key, cert: certificate }) : http.createServer()
    const sockets = new Server(server, { maxHttpBufferSize: 2 ** 24 })
    let last
    sockets.on('connection', (socket) => {
      last = socket
      socket.on('echo', (value, reply) => reply(value))
    })
    const served = await transport.serve(server)
    const clients = new Set()
    const echo = (client, value) => client.emitWithAck('echo', value)
    return {
      async open() {
        // The first one by requests that wait, which then become a WebSocket.
        const client = io(originOf(transport, served.port), {
          ca: certificate,
          reconnection: false,
          forceNew: true,
        })
        clients.add(client)
        await once(client, 'connect')
        return client
      },
      work: (client) => echo(client, 'a word'),
      echo,
      async begin(client) {
        await echo(client, 'here')
        const { transport: below } = client.io.engine
        if (below.name !== 'websocket') await once(client.io.engine, 'upgrade')
        return { ended: once(last, 'disconnect').then(([reason]) => Promise.reject(new Error(reason))) }
      },
      async close(client) {
        const closed = once(client, 'disconnect')
        client.disconnect()
        await closed
      },
      kill: () => {
        for (const client of clients) client.io.engine?.transport.ws?._socket.destroy()
      },
      async end() {
        await sockets.close()
        await served.close().catch((error) => {
          if (error.code !== 'ERR_SERVER_NOT_RUNNING') throw error
        })
      },
    }
  },
}
