import pg from 'pg'

import { certificate } from '../certificate.mjs'
import { startPostgres } from '../services/databases.mjs'
import { beginSleeping, requestTls, sleepingInPostgres } from '../support/sql.mjs'
import { opened, securities } from '../transports.mjs'
import { firstOf } from '../trials.mjs'

export default {
  beside: 'PostgreSQL',
  needs: ['postgres', 'initdb', 'pg_isready'],
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startPostgres())
    const { port } = server
    // It makes its socket first, and has it connect.
    const streamOf = async () =>
      transport.addsTls === transport.isSecure
        ? transport.socket
        : opened(await transport.connect({ port }, {}, requestTls))
    return {
      async open() {
        const client = new pg.Client({
          host: 'localhost',
          port,
          user: 'test',
          database: 'postgres',
          ssl: transport.addsTls && { ca: certificate, servername: 'localhost' },
          ...(transport.name === 'netpoll' && { stream: await streamOf() }),
        })
        client.on('error', (error) => {
          client.failed = error.code ?? error.message
        })
        await client.connect()
        return client
      },
      work: async (client) => (await client.query('SELECT $1::int + 1 AS sum', [41])).rows,
      echo: async (client, bytes) => (await client.query('SELECT $1::bytea AS bytes', [bytes])).rows[0].bytes,
      begin: (client) =>
        beginSleeping(
          () => client.query('SELECT pg_sleep(100)'),
          async () => {
            const other = new pg.Client({ host: '127.0.0.1', port, user: 'test', database: 'postgres' })
            await other.connect()
            const { rows } = await other.query(sleepingInPostgres)
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
