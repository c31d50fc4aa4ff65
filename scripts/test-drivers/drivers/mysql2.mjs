import mysql from 'mysql2/promise'

import { certificate } from '../certificate.mjs'
import { startMariadb } from '../services/databases.mjs'
import { startTerminator } from '../services/terminator.mjs'
import { beginSleeping, sleepingInMariadb } from '../support/sql.mjs'
import { securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

export default {
  beside: 'MariaDB',
  note: 'puts TLS on its stream itself: for TLS of the core a proxy ends it',
  needs: ['mariadbd', 'mariadb-install-db'],
  securities,

  async prepare({ transport, use }) {
    const isBehind = transport.security === 'core'
    const database = await startMariadb()
    const server = await use(isBehind ? await startTerminator(database) : database)
    const { port } = server
    const streamOf = async () => {
      if (isBehind) return transport.connect({ port: server.securePort })
      return transport.name === 'netpoll' ? transport.dial({ port }) : undefined
    }
    const options = { host: '127.0.0.1', port, user: 'test', password: 'test', database: 'test' }
    return {
      async open() {
        const stream = await streamOf()
        return mysql.createConnection({
          ...options,
          ...(transport.isSecure && !isBehind && { ssl: { ca: certificate } }),
          ...(stream && { stream: () => stream }),
        })
      },
      work: async (client) => (await client.execute('SELECT ? + 1 AS sum', [41]))[0],
      echo: async (client, bytes) => (await client.query('SELECT ? AS bytes', [bytes]))[0][0].bytes,
      begin: (client) =>
        beginSleeping(
          () => client.query('SELECT SLEEP(100)'),
          async () => {
            const other = await mysql.createConnection(options)
            const [rows] = await other.query(sleepingInMariadb)
            await other.end()
            return rows.length
          },
        ),
      close: (client) => client.end(),
      gone: (client) => firstOf(client.connection.stream, 'close'),
      kill: server.kill,
    }
  },
}
