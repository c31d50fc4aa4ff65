import net from 'node:net'
import tls from 'node:tls'
import amqp from 'amqplib'

import { certificate } from '../certificate.mjs'
import { startRabbit } from '../services/brokers.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

/** It takes no socket: while it connects, `connect` of Node.js gives it one. */
async function connectBy(socket, connect) {
  const module = socket.encrypted ? tls : net
  const original = module.connect
  module.connect = (_options, connected) => {
    process.nextTick(connected)
    return socket
  }
  try {
    return await connect()
  } finally {
    module.connect = original
  }
}

export default {
  beside: 'RabbitMQ',
  note: 'takes no socket, so `net.connect` is replaced while it connects',
  needs: ['rabbitmq-server', 'epmd'],
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startRabbit())
    const port = transport.isSecure ? server.amqp.tls : server.amqp.plain
    const url = `${transport.isSecure ? 'amqps' : 'amqp'}://guest:guest@localhost:${port}`
    const connect = () => amqp.connect(url, { ca: certificate })
    let turn = Promise.resolve()
    const connectInTurn = (socket) => {
      const connected = turn.then(() => connectBy(socket, connect))
      turn = connected.catch(() => {})
      return connected
    }
    const echo = async ({ channel, queue }, bytes) => {
      const answer = new Promise((resolve) => {
        channel.answered = resolve
      })
      channel.sendToQueue(queue, Buffer.from(bytes))
      return answer
    }
    return {
      async open() {
        const connection =
          transport.name === 'net' ? await connect() : await connectInTurn(await transport.connect({ port }))
        connection.on('error', () => {})
        const channel = await connection.createChannel()
        channel.on('error', () => {})
        const { queue } = await channel.assertQueue('', { exclusive: true })
        const take = (message) => message && channel.answered(message.content)
        await channel.consume(queue, take, { noAck: true })
        return { connection, channel, queue }
      },
      work: async (client) => String(await echo(client, 'a word')),
      echo,
      async begin(client) {
        await echo(client, 'here')
        return { ended: firstOf(client.channel, 'close') }
      },
      close: ({ connection }) => connection.close(),
      gone: ({ connection }) => firstOf(connection, 'close'),
      kill: server.kill,
    }
  },
}
