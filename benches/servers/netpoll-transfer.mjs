// The subject of a transfer: a stream on this package, read and written through
// its reader and writer.

import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { netpoll } from './package.mjs'
import { COUNT_SIZE, decodeCount, encodeCount, nextBlock, UPLOAD } from './transfer-protocol.mjs'

const { endpoint } = readArguments()

const server = netpoll.createServer({
  allowHalfOpen: true,
  async onData(connection) {
    const { reader, writer } = connection
    if (reader.readByte() === UPLOAD) {
      let received = 0
      for await (const bytes of connection) received += bytes.length
      writer.writeBinary(encodeCount(received))
      await writer.flush()
    } else {
      await reader.fill(COUNT_SIZE)
      let left = decodeCount(reader.next(COUNT_SIZE))
      while (left > 0) {
        const block = nextBlock(left)
        left -= block.length
        writer.writeDirect(block)
        await writer.flush()
      }
    }
    await connection.close()
  },
})

await server.listen(endpoint)
announce(server.address())
obeyStandardInput(() => ({ stats: server.stats() }))
