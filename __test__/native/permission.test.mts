import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'

import { thisHost } from '../../dist/native/platform.js'
import { createServer, Dialer, type NetpollError } from '../../dist/index.mjs'
import { codeOf, framing, gone, rejection } from '../support/netpoll.mjs'
import { folder } from '../support/over-tls/record.mjs'
import { runFixture } from '../support/system.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const allowed = process.allowedNodeEnvironmentFlags

/** What the package needs, and the flags that restrict the rest. */
const restricted = [
  allowed.has('--permission') ? '--permission' : '--experimental-permission',
  '--allow-addons',
  '--no-warnings',
  ...(allowed.has('--allow-net') ? ['--allow-net'] : []),
  // The run with TLS has each process note what it did.
  ...(folder === undefined ? [] : [`--allow-fs-write=${folder}/*`]),
]

/** A socket's path, in a folder of its own. */
function pathOf(t: ExecutionContext): string {
  const folder = mkdtempSync('/tmp/netpoll-permission-')
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'socket')
}

for (const sharing of ['own', 'shared']) {
  for (const pollers of ['0', '1', '2']) {
    const run = async (t: ExecutionContext, path: string, ...rights: string[]): Promise<unknown> => {
      const args = [path, pollers, sharing]
      const outcome = await runFixture(t, 'permission', { args, flags: [...restricted, ...rights] })
      t.is(outcome.stderr, '')
      return JSON.parse(outcome.stdout)
    }
    const words = `${sharing} socket, ${pollers} pollers`

    test.serial(
      `without the right to write a closed server says that its file stays: ${words}`,
      async (t) => {
        const path = pathOf(t)
        t.deepEqual(await run(t, path, '--allow-fs-read=*'), {
          listening: 'listening',
          dialed: 'hello',
          errors: ['ERR_ACCESS_DENIED'],
          listeners: 0,
          connections: 0,
          again: 'ECONNREFUSED',
        })
        t.true(existsSync(path))
      },
    )

    for (const write of [[], ['--allow-fs-write=*']]) {
      test.serial(
        `without the right to read nothing listens: ${words}, ${write.length} to write`,
        async (t) => {
          const path = pathOf(t)
          t.deepEqual(await run(t, path, `--allow-fs-read=${root}`, ...write), {
            listening: 'ERR_ACCESS_DENIED',
            dialed: 'ENOENT',
            errors: [],
            listeners: 0,
            connections: 0,
            again: 'ENOENT',
          })
          t.false(existsSync(path))
        },
      )
    }

    test.serial(`with all rights the file goes: ${words}`, async (t) => {
      const path = pathOf(t)
      t.deepEqual(await run(t, path, '--allow-fs-read=*', '--allow-fs-write=*'), {
        listening: 'listening',
        dialed: 'hello',
        errors: [],
        listeners: 0,
        connections: 0,
        again: 'ENOENT',
      })
      t.false(existsSync(path))
    })
  }
}

for (const shared of [false, true]) {
  for (const pollers of [0, 1, 2]) {
    test.serial(
      `a socket whose file cannot be looked at is closed again: ${pollers} pollers, ${shared}`,
      async (t) => {
        const path = pathOf(t)
        const fs = createRequire(import.meta.url)('node:fs') as { statSync: unknown }
        const { statSync } = fs
        const refuse = (): never => {
          throw Object.assign(new Error('not now'), { code: 'EACCES', errno: -13, syscall: 'stat' })
        }
        fs.statSync = refuse
        const server = createServer({ framing, pollers }, (text) => text)
        t.teardown(() => server.close({ timeout: 0 }))
        const refusal = (await rejection(server.listen({ path, shared }))) as NetpollError
        fs.statSync = statSync
        t.is(refusal.name, 'NetpollError')
        t.is(refusal.message, `stat EACCES ${path}`)
        t.false(existsSync(path))
        t.is(codeOf(await rejection(new Dialer({ framing }).dial({ path }))), 'ENOENT')
        // Nothing of the attempt is in the way of the next.
        await server.listen({ path, shared })
        const connection = await new Dialer({ framing }).dial({ path })
        t.is((await connection.call('hello')).toString(), 'hello')
        await gone(connection)
      },
    )
  }
}

test('a signal that cannot be listened to leaves the server as it was', async (t) => {
  const server = createServer({ framing }, (text) => text)
  t.teardown(() => server.close({ timeout: 0 }))
  const { signal } = new AbortController()
  signal.addEventListener = () => {
    throw new Error('nobody may listen')
  }
  const where = { host: '127.0.0.1', port: 0 }
  await t.throwsAsync(server.listen({ ...where, signal }), { message: 'nobody may listen' })
  await server.listen(where)
  t.true(server.listening)
})

test.serial('a host that does not say where it runs hides no reason', (t) => {
  const report = process.report as { getReport: unknown }
  const { getReport } = report
  const { env } = process
  const refuse = (): never => {
    throw new Error('Requires sys access to "cpus", run again with the --allow-sys flag')
  }
  report.getReport = refuse
  process.env = new Proxy(env, { get: refuse })
  try {
    const host = thisHost()
    t.false(host.isMusl)
    t.is(host.addonPath, undefined)
  } finally {
    report.getReport = getReport
    process.env = env
  }
})
