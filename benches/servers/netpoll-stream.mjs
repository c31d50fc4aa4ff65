// Framing by the user: a stream on this package, whose messages are cut in
// JavaScript. It answers as `netpoll.mjs` does, where the core cuts them.

import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { ordinaryHandler } from './handler.mjs'
import { netpoll } from './package.mjs'

const HEADER_SIZE = 4

const { endpoint, task } = readArguments()
const handler = ordinaryHandler(task)

const server = netpoll.createServer({
  async onData({ reader, writer }) {
    let needed = HEADER_SIZE
    while (reader.length >= needed) {
      const size = reader.peekUint(HEADER_SIZE)
      needed = HEADER_SIZE + size
      if (reader.length < needed) break
      reader.skip(HEADER_SIZE)
      const reply = await handler(reader.next(size))
      writer.writeUint(reply.length, HEADER_SIZE)
      writer.writeBinary(reply)
      needed = HEADER_SIZE
    }
    await writer.flush()
    // Without it, reading would pause before the end of a message above `highWaterMark`.
    if (reader.length > 0) await reader.fill(needed)
  },
})

await server.listen(endpoint)
announce(server.address())
obeyStandardInput(() => ({ stats: server.stats() }))
