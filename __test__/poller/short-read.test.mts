// What stands behind an urgent byte or a passed descriptor is delivered, although a read stops there and no event follows.
import { spawn, spawnSync } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { type Connection, createServer, Dialer } from '../../dist/index.mjs'
import { Inbox } from '../support/deferred.mjs'
import { gone, portOf } from '../support/netpoll.mjs'
import { isOverTls } from '../support/over-tls/record.mjs'
import type { Target } from '../support/peer.mjs'
import { socketPath } from '../support/system.mjs'

/** Node.js can send neither. Connects or listens, sends when told to, and stays until its input ends. */
const program = `
import array, os, socket, ssl, sys
kind, role, place, pems = sys.argv[1:]
if place.startswith('/'):
    own, target = socket.socket(socket.AF_UNIX), place
else:
    own, target = socket.socket(), ('127.0.0.1', int(place))
if role == 'listens':
    own.bind(target)
    own.listen()
    print(own.getsockname()[1], flush=True)
    own = own.accept()[0]
else:
    own.connect(target)
if not place.startswith('/'):
    own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
seal = lambda text: text
if pems != '':
    # In memory, so that what is sealed leaves by the calls below.
    received, sealed = ssl.MemoryBIO(), ssl.MemoryBIO()
    if role == 'listens':
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pems + '/certificate.pem', pems + '/key.pem')
        tls = context.wrap_bio(received, sealed, server_side=True)
    else:
        context = ssl.create_default_context(cafile=pems + '/certificate.pem')
        tls = context.wrap_bio(received, sealed, server_hostname='localhost')
    is_shaken = False
    while not is_shaken:
        try:
            tls.do_handshake()
            is_shaken = True
        except ssl.SSLWantReadError:
            pass
        own.sendall(sealed.read())
        if not is_shaken:
            received.write(own.recv(65536))
    def seal(text):
        tls.write(text)
        return sealed.read()
sys.stdin.readline()
if kind == 'urgent':
    own.send(seal(b'AAAA'))
    own.send(b'!', socket.MSG_OOB)
else:
    reader, writer = os.pipe()
    own.sendmsg([seal(b'AAAA')], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [writer]))])
    os.close(writer)
own.send(seal(b'BBBB'))
print('sent', flush=True)
sys.stdin.readline()
if kind == 'descriptor' and os.read(reader, 1) == b'':
    print('closed', flush=True)
sys.stdin.readline()
`

const pems = fileURLToPath(new URL('../../__test__/fixtures/tls/', import.meta.url))

const hasPython = spawnSync('python3', ['-c', 'import array, socket, ssl; socket.SCM_RIGHTS']).status === 0
const each = hasPython && process.platform === 'linux' ? test : test.skip

function python(t: ExecutionContext, ...args: readonly string[]) {
  const child = spawn('python3', ['-c', program, ...args, isOverTls ? pems : ''], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines = new Inbox<string>()
  createInterface({ input: child.stdout }).on('line', lines.push)
  return { lines, goOn: () => child.stdin.write('\n') }
}

/** Which only a read that hangs reaches. */
const readTimeout = 30_000
const urgentPlace = { kind: 'urgent', transport: 'tcp' } as const
const descriptorPlace = { kind: 'descriptor', transport: 'unix' } as const

for (const { kind, transport } of [urgentPlace, descriptorPlace]) {
  for (const pollers of [0, 1, 2]) {
    for (const role of ['connects', 'listens'] as const) {
      each(`a peer that ${role} and sends something ${kind} between, ${pollers} pollers`, async (t) => {
        const path = transport === 'unix' ? socketPath(t) : undefined
        let connection: Connection
        let peer: ReturnType<typeof python>
        if (role === 'connects') {
          const connections = new Inbox<Connection>()
          const server = createServer({ pollers, readTimeout, onConnect: connections.push })
          t.teardown(() => server.close({ timeout: 0 }))
          await server.listen(path === undefined ? { host: '127.0.0.1', port: 0 } : { path })
          peer = python(t, kind, role, path ?? String(portOf(server)))
          connection = await connections.take()
        } else {
          peer = python(t, kind, role, path ?? '0')
          const port = Number(await peer.lines.take())
          const target: Target = path === undefined ? { host: '127.0.0.1', port } : { path }
          connection = await new Dialer({ pollers, readTimeout }).dial(target)
          t.teardown(() => gone(connection))
        }
        // Both parts are announced before either is read.
        connection.pause()
        peer.goOn()
        t.is(await peer.lines.take(), 'sent')
        connection.resume()
        const { reader } = connection
        await reader.fill(8)
        t.is(reader.readString(8), 'AAAABBBB')
        t.is(reader.length, 0)
        peer.goOn()
        if (kind === 'descriptor') t.is(await peer.lines.take(), 'closed')
      })
    }
  }
}
