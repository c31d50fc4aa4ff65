import { Readable } from 'node:stream'
import nodemailer from 'nodemailer'

import { certificate } from '../certificate.mjs'
import { startNodeServer } from '../services/node.mjs'
import { securities } from '../transports.mjs'

const message = (text) => ({
  from: 'a@here.test',
  to: 'b@here.test',
  subject: 'news',
  text,
  textEncoding: 'base64',
})

export default {
  beside: '`smtp-server`',
  exceptions: { 'core killed': '`ESOCKET`, of `ERR_TLS_TRUNCATED`' },
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startNodeServer('smtp', transport.isSecure))
    const getSocket = (_options, callback) =>
      transport
        .connect({ port: server.port })
        .then((connection) => callback(null, { connection, secured: transport.isSecure }), callback)
    const send = async (mailer, text) => (await mailer.sendMail(message(text))).accepted
    return {
      open: () =>
        nodemailer.createTransport({
          host: 'localhost',
          port: server.port,
          secure: transport.isSecure,
          ignoreTLS: true,
          tls: { ca: certificate },
          pool: true,
          maxConnections: 1,
          ...(transport.name === 'netpoll' && { getSocket }),
        }),
      work: (mailer) => send(mailer, 'a word'),
      async echo(mailer, bytes) {
        await send(mailer, bytes.toString('base64'))
        return bytes
      },
      async begin(mailer) {
        await send(mailer, 'a word')
        // More than what is between them holds: once it is taken, the server has begun to read the message.
        let pieces = 64
        await new Promise((resolve) => {
          const read = () => {
            pieces -= 1
            if (pieces > 0) text.push(`${'news '.repeat(3_000)}\n`)
            else resolve()
          }
          const text = new Readable({ read })
          mailer.begun = send(mailer, text)
          mailer.begun.catch(() => {})
        })
        // And then it has read what there is, so that it goes without a reset.
        await new Promise((resolve) => setTimeout(resolve, 300))
        return { ended: mailer.begun }
      },
      close: (mailer) => mailer.close(),
      kill: server.kill,
    }
  },
}
