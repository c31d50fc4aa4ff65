import rhea from 'rhea'

import { certificate } from '../certificate.mjs'
import { startRabbit } from '../services/brokers.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

export default {
  beside: 'RabbitMQ (AMQP 1.0)',
  needs: ['rabbitmq-server', 'epmd'],
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startRabbit())
    const port = transport.isSecure ? server.amqp.tls : server.amqp.plain
    let queues = 0
    const echo = async ({ sender, receiver }, bytes) => {
      const answer = new Promise((resolve) =>
        receiver.once('message', ({ message }) => resolve(message.body)),
      )
      sender.send({ body: rhea.message.data_section(Buffer.from(bytes)) })
      const { content } = await answer
      return content
    }
    return {
      async open() {
        const socket = transport.name === 'netpoll' ? await transport.connect({ port }) : undefined
        const connect = (_port, _host, _options, connected) => {
          process.nextTick(connected)
          return socket
        }
        const connection = rhea.create_container().connect({
          host: 'localhost',
          port,
          username: 'guest',
          password: 'guest',
          reconnect: false,
          ...(transport.isSecure && { transport: 'tls', ca: certificate, servername: 'localhost' }),
          ...(socket && { connect }),
        })
        for (const name of ['error', 'connection_error', 'disconnected']) connection.on(name, () => {})
        await firstOf(connection, 'connection_open', 'disconnected')
        queues += 1
        const address = `/queue/echo${queues}-${process.pid}`
        const sender = connection.open_sender(address)
        await firstOf(sender, 'sendable')
        const receiver = connection.open_receiver(address)
        await firstOf(receiver, 'receiver_open')
        return { connection, sender, receiver }
      },
      work: async (client) => String(await echo(client, 'a word')),
      echo,
      async begin(client) {
        await echo(client, 'here')
        return { ended: firstOf(client.connection, 'disconnected') }
      },
      async close({ connection }) {
        const closed = firstOf(connection, 'connection_close')
        connection.close()
        await closed
      },
      gone: ({ connection }) => firstOf(connection, 'disconnected', 'connection_close'),
      kill: server.kill,
    }
  },
}
