// A transfer over streams of Node.js, of `node:net` or of this package: writes until `write` says no, and goes on at
// 'drain'.

import { readArguments } from './control.mjs'
import { serveStreams } from './streams.mjs'
import { COUNT_SIZE, decodeCount, encodeCount, UPLOAD, writeBlocks } from './transfer-protocol.mjs'

await serveStreams(readArguments(), (stream) => {
  /** @type {Buffer} */
  let head = Buffer.alloc(0)
  /** @param {Buffer} chunk */
  const readHead = (chunk) => {
    head = Buffer.concat([head, chunk])
    if (head[0] === UPLOAD) {
      stream.off('data', readHead)
      count(stream, head.length - 1)
    } else if (head.length > COUNT_SIZE) {
      stream.off('data', readHead)
      // So that the client's end is seen.
      stream.resume()
      writeBlocks(stream, decodeCount(head.subarray(1)), () => stream.end())
    }
  }
  stream.on('data', readHead)
  stream.on('error', () => stream.destroy())
})

/** @param {import('node:stream').Duplex} stream @param {number} received Bytes that have come already. */
function count(stream, received) {
  stream.on('data', (chunk) => {
    received += chunk.length
  })
  stream.on('end', () => stream.end(encodeCount(received)))
}
