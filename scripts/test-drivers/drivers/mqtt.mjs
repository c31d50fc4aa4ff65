import { once } from 'node:events'
import mqtt from 'mqtt'

import { certificate } from '../certificate.mjs'
import { startMosquitto } from '../services/brokers.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

export default {
  beside: 'mosquitto',
  needs: ['mosquitto'],
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startMosquitto())
    const port = transport.isSecure ? server.securePort : server.port
    let clients = 0
    const echo = async (client, message) => {
      const topic = `echo/${client.options.clientId}`
      await client.subscribeAsync(topic, { qos: 1 })
      const answer = once(client, 'message')
      await client.publishAsync(topic, message, { qos: 1 })
      return (await answer)[1]
    }
    return {
      async open() {
        clients += 1
        const options = { clientId: `driver-${clients}`, reconnectPeriod: 0, ca: certificate }
        const url = `${transport.isSecure ? 'mqtts' : 'mqtt'}://localhost:${port}`
        let client
        if (transport.name === 'net') client = mqtt.connect(url, options)
        else {
          const socket = await transport.connect({ port })
          client = new mqtt.MqttClient(() => socket, options)
        }
        client.on('error', () => {})
        await firstOf(client, 'connect', 'close')
        return client
      },
      work: async (client) => String(await echo(client, 'a word')),
      echo,
      async begin(client) {
        await echo(client, 'here')
        return { ended: firstOf(client, 'close') }
      },
      close: (client) => client.endAsync(),
      gone: (client) => firstOf(client, 'close'),
      kill: server.kill,
    }
  },
}
