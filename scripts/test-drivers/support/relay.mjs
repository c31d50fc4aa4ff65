// Connections through this process: what kills them is the end of both of their sockets, as where a process dies.

import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** Relays to `port`: `kill` ends what there is, without a word of what runs over it. */
export async function startRelay(port) {
  const sockets = new Set()
  const keep = (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  }
  const server = createServer((inside) => {
    const outside = connect({ host: '127.0.0.1', port })
    keep(inside)
    keep(outside)
    inside.pipe(outside).pipe(inside)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: server.address().port,
    kill: () => {
      for (const socket of sockets) socket.destroy()
    },
    close: () => server.close(),
  }
}
