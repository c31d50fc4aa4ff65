// `Bun.listen` with an `ArrayBufferSink`, as its documentation advises where there are many small writes:
// the replies to what came together leave together.

import { announce, obeyStandardInput, readArguments } from '../servers/control.mjs'
import { ordinaryHandler } from '../servers/handler.mjs'
import { BunOutput, listen } from './bun-socket.mjs'
import { FrameCutter, frame } from './frames.mjs'

const { endpoint, tls, task } = readArguments()
const handler = ordinaryHandler(task)

/** One connection. */
class Connection {
  cutter = new FrameCutter()
  sink = new Bun.ArrayBufferSink()
  output

  /** @param {import('./bun-socket.mjs').Sink} socket */
  constructor(socket) {
    this.output = new BunOutput(socket)
    this.sink.start({ asUint8Array: true, stream: true, highWaterMark: 64 * 1024 })
  }

  /** @param {Buffer} chunk */
  async receive(chunk) {
    await Promise.all(this.cutter.cut(chunk).map((request) => this.#answer(request)))
    this.output.write(this.sink.flush())
  }

  /** @param {Buffer} request */
  async #answer(request) {
    this.sink.write(frame(await handler(request)))
  }
}

announce(listen(endpoint, tls, (socket) => new Connection(socket)))
obeyStandardInput()
