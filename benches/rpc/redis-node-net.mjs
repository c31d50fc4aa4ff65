// The tiny Redis of `examples/redis.mjs` on `node:net`: `--per-reply` writes each reply by itself, otherwise all
// replies to a chunk are written at once.

import { createServer } from 'node:net'

import { fromRoot } from '../runner/paths.mjs'
import { announce, obeyStandardInput } from '../servers/control.mjs'

// By a name that no type checker follows: examples are plain JavaScript.
const { execute } = await import(fromRoot('examples/redis.mjs'))

const perReply = process.argv.includes('--per-reply')

const server = createServer({ noDelay: true }, (socket) => {
  /** @type {Buffer} */
  let pending = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    const bytes = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
    let answers = ''
    /** @param {string} answer */
    const collect = (answer) => {
      answers += answer
    }
    /** @param {string} answer */
    const write = (answer) => void socket.write(answer, 'latin1')
    const done = execute(bytes, perReply ? write : collect)
    if (answers !== '') socket.write(answers, 'latin1')
    pending = bytes.subarray(done)
  })
  socket.on('error', () => socket.destroy())
})
server.listen(0, '127.0.0.1', () => announce(server.address()))
obeyStandardInput()
