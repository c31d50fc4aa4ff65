import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import stompit from 'stompit'

import { certificate } from '../certificate.mjs'
import { startRabbit } from '../services/brokers.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

export default {
  beside: 'RabbitMQ (STOMP)',
  needs: ['rabbitmq-server', 'epmd'],
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startRabbit())
    const port = transport.isSecure ? server.stomp.tls : server.stomp.plain
    let queues = 0
    const echo = async (client, bytes) => {
      queues += 1
      const destination = `/queue/echo${queues}-${process.pid}`
      const answer = new Promise((resolve, reject) => {
        client.subscribe({ destination, ack: 'auto' }, (error, message) =>
          error ? reject(error) : buffer(message).then(resolve, reject),
        )
      })
      answer.catch(() => {})
      const frame = client.send({ destination, 'content-length': bytes.length })
      frame.end(bytes)
      return answer
    }
    return {
      async open() {
        const socket = transport.name === 'netpoll' ? await transport.connect({ port }) : undefined
        const connect = (_options, connected) => {
          process.nextTick(connected)
          return socket
        }
        const client = await promisify(stompit.connect)({
          host: 'localhost',
          port,
          timeout: 0,
          connectHeaders: { host: '/', login: 'guest', passcode: 'guest', 'heart-beat': '0,0' },
          ...(transport.isSecure && { ssl: true, ca: certificate }),
          ...(socket && { connect }),
        })
        client.on('error', () => {})
        return client
      },
      work: async (client) => String(await echo(client, Buffer.from('a word'))),
      echo,
      async begin(client) {
        await echo(client, Buffer.from('here'))
        return { ended: firstOf(client, 'error') }
      },
      close: (client) => promisify(client.disconnect).call(client),
      gone: (client) => firstOf(client, 'end', 'error'),
      kill: server.kill,
    }
  },
}
