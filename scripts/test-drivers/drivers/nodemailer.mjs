import nodemailer from 'nodemailer'

import { certificate } from '../certificate.mjs'
import { startNodeServer } from '../services/node.mjs'

const message = (text) => ({
  from: 'a@here.test',
  to: 'b@here.test',
  subject: 'news',
  text,
  textEncoding: 'base64',
})

export default {
  beside: '`smtp-server`',
  securities: ['plain', 'tls'],

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
        const { Readable } = await import('node:stream')
        const begun = new Promise((resolve) => {
          const text = new Readable({
            read() {
              resolve()
            },
          })
          mailer.begun = send(mailer, text)
          mailer.begun.catch(() => {})
        })
        await begun
        return { ended: mailer.begun }
      },
      close: (mailer) => mailer.close(),
      kill: server.kill,
    }
  },
}
