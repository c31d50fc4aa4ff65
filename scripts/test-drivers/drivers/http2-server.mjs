import * as http2 from 'node:http2'

import { certificate as cert, key } from '../certificate.mjs'
import { ask, begin, close, openSession } from '../support/http2.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

export default {
  title: '`node:http2` (server)',
  securities,

  async prepare({ transport }) {
    const answer = (request, response) => {
      if (request.url === '/echo') request.pipe(response)
      else if (request.url === '/hang') response.write('the beginning')
      else response.end(`a word for ${request.socket.remoteAddress}`)
    }
    const server = transport.addsTls
      ? http2.createSecureServer({ key, cert }, answer)
      : http2.createServer(answer)
    const errors = []
    server.on('sessionError', (error) => errors.push(error.code))
    let last
    const sessions = new Set()
    server.on('session', (session) => {
      last = firstOf(session, 'close')
      sessions.add(session)
      session.once('close', () => sessions.delete(session))
    })
    const served = await transport.serve(server, { ALPNProtocols: ['h2'] })
    const clients = new Set()
    return {
      async open() {
        const session = await openSession(transport, served.port)
        clients.add(session)
        return session
      },
      work: async (session) => String(await ask(session, '/work')),
      echo: (session, bytes) => ask(session, '/echo', bytes),
      async begin(session) {
        await begin(session)
        return { ended: last }
      },
      close,
      kill: () => {
        for (const session of clients) session.destroy()
      },
      async end() {
        await served.close()
        if (sessions.size > 0) throw new Error(`${sessions.size} sessions are left`)
        if (errors.length > 0) throw new Error(`sessionError ${[...new Set(errors)]}`)
      },
    }
  },
}
