import { cpSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import * as first from '../../dist/index.mjs'
import { loadedAddon } from '../support/addon.mjs'
import { codeOf, portOf, rejection } from '../support/netpoll.mjs'
import { socketPath } from '../support/system.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const host = '127.0.0.1'

/** The package once more, as where two versions of it are installed. */
async function installedTwice(t: ExecutionContext): Promise<typeof first> {
  // Where the suite runs on an add-on that is named, the first copy has it by then, and the second takes its own.
  first.stats()
  delete process.env['NAPI_RS_NATIVE_LIBRARY_PATH']
  const folder = dirname(socketPath(t))
  for (const path of ['package.json', 'dist'])
    cpSync(join(root, path), join(folder, path), { recursive: true })
  mkdirSync(join(folder, 'binding'))
  const [name = ''] = readdirSync(join(root, 'binding')).filter((file) => file.endsWith('.node'))
  cpSync(loadedAddon(), join(folder, 'binding', name))
  return (await import(pathToFileURL(join(folder, 'dist', 'index.mjs')).href)) as typeof first
}

test('a framing of another copy is refused', async (t) => {
  const second = await installedTwice(t)
  const framing = first.lengthField({ size: 4 })
  for (const use of [
    () => second.createServer({ framing }, (request: Buffer) => request),
    () => new second.Dialer({ framing }),
  ]) {
    t.throws(use, { instanceOf: TypeError, code: 'ERR_INVALID_ARG_TYPE' })
  }
})

test('a shared listener is shared within one copy alone', async (t) => {
  const second = await installedTwice(t)
  const serverOf = ({ createServer, lengthField }: typeof first) => {
    const server = createServer({ framing: lengthField({ size: 4 }) }, (request) => request)
    t.teardown(() => server.close({ timeout: 0 }))
    return server
  }
  const server = serverOf(first)
  await server.listen({ host, port: 0, shared: true })
  const place = { host, port: portOf(server), shared: true }
  t.is(codeOf(await rejection(serverOf(second).listen(place))), 'EADDRINUSE')
  await serverOf(first).listen(place)
  t.pass()
})

test('connections of two copies understand each other', async (t) => {
  const second = await installedTwice(t)
  const server = first.createServer({ framing: first.lengthField({ size: 4 }) }, (request) => request)
  t.teardown(() => server.close({ timeout: 0 }))
  await server.listen({ host, port: 0 })
  const dialer = new second.Dialer({ framing: second.lengthField({ size: 4 }) })
  const connection = await dialer.dial({ host, port: portOf(server) })
  t.is((await connection.call('x')).toString(), 'x')
  await connection.close()
})
