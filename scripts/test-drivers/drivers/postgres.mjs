import postgres from 'postgres'

import { certificate } from '../certificate.mjs'
import { startPostgres } from '../services/databases.mjs'
import { beginSleeping, requestTls, sleepingInPostgres } from '../support/sql.mjs'
import { opened, securities } from '../transports.mjs'

export default {
  beside: 'PostgreSQL',
  needs: ['postgres', 'initdb', 'pg_isready'],
  securities,

  async prepare({ transport, use }) {
    const server = await use(await startPostgres())
    const { port } = server
    const streamOf = () =>
      transport.addsTls === transport.isSecure
        ? transport.dial({ port })
        : transport.connect({ port }, {}, requestTls)
    return {
      open() {
        let closed
        const closing = new Promise((resolve) => {
          closed = resolve
        })
        const sql = postgres({
          host: 'localhost',
          port,
          user: 'test',
          database: 'postgres',
          max: 1,
          ssl: transport.addsTls && { ca: certificate, servername: 'localhost' },
          onclose: () => closed(),
          ...(transport.name === 'netpoll' && {
            socket: async () => opened(await streamOf()),
          }),
        })
        return { sql, closing }
      },
      work: async ({ sql }) => [...(await sql`SELECT ${41}::int + 1 AS sum`)],
      echo: async ({ sql }, bytes) => (await sql`SELECT ${bytes}::bytea AS bytes`)[0].bytes,
      async begin({ sql }) {
        await sql`SELECT 1`
        return beginSleeping(
          () => sql`SELECT pg_sleep(100)`.execute(),
          async () => {
            const other = postgres({ host: '127.0.0.1', port, user: 'test', database: 'postgres', max: 1 })
            const rows = await other.unsafe(sleepingInPostgres)
            await other.end()
            return rows.length
          },
        )
      },
      close: ({ sql }) => sql.end(),
      gone: ({ closing }) => closing,
      kill: server.kill,
    }
  },
}
