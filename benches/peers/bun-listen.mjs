// `Bun.listen` with a write for each reply, as in its documentation.

import { announce, obeyStandardInput, readArguments } from '../servers/control.mjs'
import { ordinaryHandler } from '../servers/handler.mjs'
import { BunOutput, listen } from './bun-socket.mjs'
import { FrameCutter, frame } from './frames.mjs'

const { endpoint, tls, task } = readArguments()
const handler = ordinaryHandler(task)

/** One connection. */
class Connection {
  cutter = new FrameCutter()
  output

  /** @param {import('./bun-socket.mjs').Sink} socket */
  constructor(socket) {
    this.output = new BunOutput(socket)
  }

  /** @param {Buffer} chunk */
  receive(chunk) {
    for (const request of this.cutter.cut(chunk)) this.#answer(request)
  }

  /** @param {Buffer} request */
  async #answer(request) {
    this.output.write(frame(await handler(request)))
  }
}

announce(listen(endpoint, tls, (socket) => new Connection(socket)))
obeyStandardInput()
