import { buffer } from 'node:stream/consumers'
import { ImapFlow } from 'imapflow'

import { certificate } from '../certificate.mjs'
import { startDovecot } from '../services/others.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

const message = (text) => `From: a@here.test\r\nSubject: news\r\n\r\n${text}`

export default {
  beside: 'dovecot',
  needs: ['dovecot'],
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startDovecot())
    const port = transport.isSecure ? server.securePort : server.port
    let users = 0
    const echo = async (client, bytes) => {
      const { uid } = await client.append('INBOX', message(bytes.toString('base64')))
      const lock = await client.getMailboxLock('INBOX')
      const { content } = await client.download(String(uid), 'TEXT', { uid: true })
      const text = String(await buffer(content))
      lock.release()
      return Buffer.from(text.trim(), 'base64')
    }
    return {
      async open() {
        const socket = transport.name === 'netpoll' ? await transport.connect({ port }) : undefined
        const connect = (_options, connected) => {
          process.nextTick(connected)
          return socket
        }
        users += 1
        const client = new ImapFlow({
          host: 'localhost',
          port,
          secure: transport.isSecure,
          doSTARTTLS: false,
          tls: { ca: certificate },
          auth: { user: `user${users}`, pass: 'test' },
          logger: false,
          ...(socket && { transport: { connect } }),
        })
        client.on('error', () => {})
        await client.connect()
        return client
      },
      work: async (client) => String(await echo(client, Buffer.from('a word'))),
      echo,
      async begin(client) {
        await client.mailboxOpen('INBOX')
        const ended = client.idle()
        ended.catch(() => {})
        await new Promise((resolve) => setTimeout(resolve, 300))
        return { ended }
      },
      close: (client) => client.logout(),
      gone: (client) => firstOf(client, 'close'),
      kill: server.kill,
    }
  },
}
