import mariadb from 'mariadb'

import { certificate } from '../certificate.mjs'
import { startMariadb } from '../services/databases.mjs'
import { startTerminator } from '../services/terminator.mjs'
import { beginSleeping, sleepingInMariadb } from '../support/sql.mjs'
import { opened, securities } from '../transports.mjs'
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
    const options = { host: '127.0.0.1', port, user: 'test', password: 'test', database: 'test' }
    return {
      tellsOwnEnd: false,
      async open() {
        // What it returns would be taken for the socket.
        const stream = (callback) => {
          const dialed = isBehind ? transport.connect({ port: server.securePort }) : transport.dial({ port })
          dialed.then((socket) => callback(null, opened(socket)), callback)
        }
        const client = await mariadb.createConnection({
          ...options,
          ...(transport.isSecure && !isBehind && { ssl: { ca: certificate } }),
          ...((isBehind || transport.name === 'netpoll') && { stream }),
        })
        client.on('error', () => {})
        return client
      },
      work: async (client) =>
        [...(await client.query('SELECT ? + 1 AS sum', [41]))].map(({ sum }) => Number(sum)),
      echo: async (client, bytes) => (await client.query('SELECT ? AS bytes', [bytes]))[0].bytes,
      begin: (client) =>
        beginSleeping(
          () => client.query('SELECT SLEEP(100)'),
          async () => {
            const other = await mariadb.createConnection(options)
            const rows = await other.query(sleepingInMariadb)
            await other.end()
            return rows.length
          },
        ),
      close: (client) => client.end(),
      gone: (client) => firstOf(client, 'end'),
      kill: server.kill,
    }
  },
}
