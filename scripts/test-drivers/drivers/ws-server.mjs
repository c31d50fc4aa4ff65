import { once } from 'node:events'
import * as http from 'node:http'
import * as https from 'node:https'
import { WebSocket, WebSocketServer } from 'ws'

import { certificate, key } from '../certificate.mjs'
import { securities } from '../transports.mjs'

export default {
  title: '`ws` (server)',
  securities,

  async prepare({ transport }) {
    const server = transport.addsTls ? https.createServer({ key, cert: certificate }) : http.createServer()
    const sockets = new WebSocketServer({ server, maxPayload: 2 ** 24 })
    let last
    sockets.on('connection', (socket) => {
      last = socket
      socket.on('error', () => {})
      socket.on('message', (message, isBinary) => socket.send(message, { binary: isBinary }))
    })
    const served = await transport.serve(server)
    const url = `${transport.isSecure ? 'wss' : 'ws'}://localhost:${served.port}`
    const clients = new Set()
    const echo = async (client, message) => {
      const answer = once(client, 'message')
      client.send(message)
      return (await answer)[0]
    }
    return {
      async open() {
        const client = new WebSocket(url, { ca: certificate, maxPayload: 2 ** 24 })
        clients.add(client)
        await once(client, 'open')
        return client
      },
      work: async (client) => String(await echo(client, 'a word')),
      echo,
      async begin(client) {
        await echo(client, 'here')
        return { ended: once(last, 'close').then(([code]) => Promise.reject(new Error(`close ${code}`))) }
      },
      async close(client) {
        const closed = once(client, 'close')
        client.close()
        await closed
      },
      kill: () => {
        for (const client of clients) client._socket?.destroy()
      },
      async end() {
        sockets.close()
        await served.close()
      },
    }
  },
}
