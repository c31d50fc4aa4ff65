import { once } from 'node:events'
import { WebSocket } from 'ws'

import { startNodeServer } from '../services/node.mjs'
import { agentOver } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  title: '`ws` (client)',
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startNodeServer('ws', transport.isSecure))
    const url = `${transport.isSecure ? 'wss' : 'ws'}://localhost:${server.port}`
    const echo = async (socket, message) => {
      const answer = once(socket, 'message')
      socket.send(message)
      return (await answer)[0]
    }
    return {
      async open() {
        const socket = new WebSocket(url, { agent: agentOver(transport), maxPayload: 2 ** 24 })
        await once(socket, 'open')
        return socket
      },
      work: async (socket) => String(await echo(socket, 'a word')),
      echo,
      async begin(socket) {
        socket.send('hang')
        await echo(socket, 'beside it')
        return { ended: once(socket, 'close') }
      },
      async close(socket) {
        const closed = once(socket, 'close')
        socket.close()
        await closed
      },
      gone: async (socket) => {
        const told = []
        socket.on('error', (error) => told.push(error.code))
        const [code] = await once(socket, 'close')
        return `${told} ${code}`
      },
      kill: server.kill,
    }
  },
}
