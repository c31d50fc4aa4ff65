import mysql from 'mysql2/promise'

import { certificate } from '../certificate.mjs'
import { startMariadb } from '../services/databases.mjs'
import { beginSleeping, sleepingInMariadb } from '../support/sql.mjs'
import { firstOf } from '../trials.mjs'

export default {
  beside: 'MariaDB',
  needs: ['mariadbd', 'mariadb-install-db'],
  securities: ['plain', 'tls'],

  async prepare({ transport, use }) {
    const server = await use(await startMariadb())
    const { port } = server
    const options = { host: '127.0.0.1', port, user: 'test', password: 'test', database: 'test' }
    return {
      async open() {
        const stream = transport.name === 'netpoll' ? await transport.dial({ port }) : undefined
        return mysql.createConnection({
          ...options,
          ...(transport.isSecure && { ssl: { ca: certificate } }),
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
