import { buffer } from 'node:stream/consumers'
import { promisify } from 'node:util'
import ssh2 from 'ssh2'

import { startSshd } from '../services/others.mjs'
import { firstOf } from '../trials.mjs'

export default {
  beside: 'OpenSSH',
  note: 'encrypts by itself',
  needs: ['sshd', 'ssh-keygen'],
  securities: ['plain'],

  async prepare({ transport, use }) {
    const server = await use(await startSshd())
    const { port, username, privateKey } = server
    const execute = (client, command) =>
      new Promise((resolve, reject) =>
        client.exec(command, (error, stream) => (error ? reject(error) : resolve(stream))),
      )
    return {
      // Each is a process, and keys take their time.
      clients: 5,
      async open() {
        const client = new ssh2.Client()
        const ready = new Promise((resolve, reject) => client.once('ready', resolve).once('error', reject))
        client.on('error', () => {})
        const where =
          transport.name === 'net' ? { host: '127.0.0.1', port } : { sock: await transport.dial({ port }) }
        client.connect({ ...where, username, privateKey })
        await ready
        return client
      },
      async work(client) {
        const files = await promisify(client.sftp.bind(client))()
        const path = await promisify(files.realpath.bind(files))('/usr/../usr')
        files.end()
        return path
      },
      async echo(client, bytes) {
        const stream = await execute(client, 'cat')
        stream.end(bytes)
        return buffer(stream)
      },
      async begin(client) {
        const stream = await execute(client, 'echo begun; sleep 100')
        await firstOf(stream, 'data')
        stream.resume()
        return { ended: firstOf(stream, 'close') }
      },
      async close(client) {
        const closed = firstOf(client, 'close')
        client.end()
        await closed
      },
      gone: (client) => firstOf(client, 'close'),
      kill: server.kill,
    }
  },
}
