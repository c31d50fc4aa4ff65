import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'

/**
 * A socket with TLS as another stream, of which Node.js cannot take the handle. TLS over that handle ends the lower TLS while
 * its own end is still being written, and so without an end.
 */
export function withoutHandle(socket: Socket): Duplex {
  const stream = new Duplex({
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, told) => void socket.write(chunk, told),
    final: (told) => void socket.end(told),
    destroy: (error, told) => {
      socket.destroy()
      told(error)
    },
  })
  socket.on('data', (chunk: Buffer) => {
    if (!stream.push(chunk)) socket.pause()
  })
  socket.on('end', () => stream.push(null))
  socket.on('error', (error) => stream.destroy(error))
  socket.on('close', () => {
    // What was read, and the end behind it, is still taken.
    if (socket.readableEnded && !stream.readableEnded) stream.once('end', () => stream.destroy())
    else stream.destroy()
  })
  return stream
}
