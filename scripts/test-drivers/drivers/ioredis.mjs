import { AbstractConnector, Redis } from 'ioredis'

import { certificate } from '../certificate.mjs'
import { startRedis } from '../services/databases.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

export default {
  beside: 'Redis',
  needs: ['redis-server'],
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startRedis())
    const port = transport.isSecure ? server.securePort : server.port
    class DialingConnector extends AbstractConnector {
      constructor(options) {
        super(options.disconnectTimeout)
      }

      async connect() {
        this.connecting = true
        this.stream = await transport.connect({ port })
        return this.stream
      }
    }
    return {
      async open() {
        const redis = new Redis({
          host: 'localhost',
          port,
          retryStrategy: () => null,
          ...(transport.isSecure && { tls: { ca: certificate, servername: 'localhost' } }),
          ...(transport.name === 'netpoll' && { Connector: DialingConnector }),
        })
        redis.on('error', () => {})
        await redis.ping()
        return redis
      },
      work: (redis) => redis.pipeline().set('key', 'value').get('key').exec(),
      async echo(redis, bytes) {
        await redis.set('bytes', bytes)
        return redis.getBuffer('bytes')
      },
      begin: async (redis) => ({ ended: redis.blpop('nothing', 0) }),
      close: (redis) => redis.quit(),
      gone: (redis) => firstOf(redis, 'end'),
      kill: server.kill,
    }
  },
}
