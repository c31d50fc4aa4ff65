import { once } from 'node:events'
import { io } from 'socket.io-client'

import { startNodeServer } from '../services/node.mjs'
import { agentOver, originOf } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  title: '`socket.io-client`',
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startNodeServer('socket.io', transport.isSecure))
    const echo = (socket, value) => socket.emitWithAck('echo', value)
    return {
      async open() {
        const options = { agent: agentOver(transport), transports: ['websocket'], reconnection: false }
        const socket = io(originOf(transport, server.port), options)
        await once(socket, 'connect')
        return socket
      },
      work: (socket) => echo(socket, 'a word'),
      echo,
      begin: async (socket) => {
        await echo(socket, 'here')
        return { ended: socket.timeout(5_000).emitWithAck('nothing answers') }
      },
      async close(socket) {
        const closed = once(socket, 'disconnect')
        socket.disconnect()
        await closed
      },
      gone: (socket) => once(socket, 'disconnect').then(([reason]) => Promise.reject(new Error(reason))),
      kill: server.kill,
    }
  },
}
