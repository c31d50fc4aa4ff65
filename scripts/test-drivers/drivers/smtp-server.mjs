import nodemailer from 'nodemailer'
import { SMTPServer } from 'smtp-server'

import { certificate as cert, key } from '../certificate.mjs'
import { startRelay } from '../support/relay.mjs'
import { securities } from '../transports.mjs'

/** It makes its server itself; `server` of it is Node's. */
export default {
  beside: '`nodemailer`',
  securities,

  async prepare({ transport }) {
    let closed
    const server = new SMTPServer({
      key,
      cert,
      secure: transport.isSecure,
      secured: transport.isSecure && !transport.addsTls,
      authOptional: true,
      onConnect(session, callback) {
        closed = new Promise((resolve) => {
          session.closed = resolve
        })
        callback(session.remoteAddress === '127.0.0.1' ? null : new Error(`from ${session.remoteAddress}`))
      },
      onClose: (session) => session.closed?.(),
      onData(stream, _session, callback) {
        stream.resume()
        stream.once('end', () => callback(null, 'taken'))
      },
    })
    const errors = []
    server.on('error', (error) => errors.push(error.code))
    const served = await transport.serve(server.server)
    const relay = await startRelay(served.port)
    const send = async (mailer, text) =>
      (await mailer.sendMail({ from: 'a@here.test', to: 'b@here.test', text })).accepted
    return {
      open: () =>
        nodemailer.createTransport({
          host: 'localhost',
          port: relay.port,
          secure: transport.isSecure,
          ignoreTLS: true,
          tls: { ca: cert },
          pool: true,
          maxConnections: 1,
        }),
      work: (mailer) => send(mailer, 'a word'),
      async echo(mailer, bytes) {
        await send(mailer, bytes.toString('base64'))
        return bytes
      },
      async begin(mailer) {
        await send(mailer, 'a word')
        return { ended: closed }
      },
      close: (mailer) => mailer.close(),
      kill: relay.kill,
      async end() {
        relay.kill()
        relay.close()
        await served.close()
        if (errors.length > 0) throw new Error(`errors ${[...new Set(errors)].sort()}`)
      },
    }
  },
}
