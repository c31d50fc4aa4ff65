import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { loadedAddon } from '../support/addon.mjs'
import { buildNestedLoop } from '../support/nested-loop.mjs'
import { runFixture, socketPath } from '../support/system.mjs'

const source = fileURLToPath(
  new URL('../../__test__/fixtures/native/refuse-external-memory.c', import.meta.url),
)
const asked = 'napi_create_external_arraybuffer'
const refused = 'nope_create_external_arraybuffer'

/** An environment in which the engine refuses external memory, as Electron's does. */
function refusing(t: ExecutionContext): { readonly folder: string; readonly env: NodeJS.ProcessEnv } {
  const folder = dirname(socketPath(t))
  const library = join(folder, 'refuse.so')
  execFileSync('cc', ['-shared', '-fPIC', '-Wall', '-Werror', '-o', library, source])
  // Node.js exports its own function, which comes before that of a preloaded library: so the add-on asks for another.
  const addon = readFileSync(loadedAddon())
  const at = addon.indexOf(`${asked}\0`)
  t.true(at > 0)
  addon.write(refused, at, 'latin1')
  const path = join(folder, 'refused.node')
  writeFileSync(path, addon)
  // Behind a sanitizer's library, which comes first.
  const preloaded = [process.env['LD_PRELOAD'], library].filter(Boolean).join(':')
  return { folder, env: { LD_PRELOAD: preloaded, NAPI_RS_NATIVE_LIBRARY_PATH: path } }
}

// The linkers of other systems name functions together with the program that has them.
const onLinux = process.platform === 'linux' ? test : test.skip

const uses = ['listen', 'listen again', 'shared', 'workers']
const dials = ['dial', 'unix dial', 'stream dial', 'pool', 'mux', 'writer', 'stats']

for (const pollers of ['0', '1', '2']) {
  onLinux(
    `where the engine forbids external memory every first use says so, pollers: ${pollers}`,
    async (t) => {
      const { folder, env } = refusing(t)
      const { code, signal, stdout, stderr } = await runFixture(t, 'external-memory', {
        args: [folder, pollers],
        env,
      })
      t.is(stderr, '')
      const why =
        'ERR_UNSUPPORTED netpoll hands messages over in external memory, which this JavaScript engine forbids, as that of ' +
        'Electron does: run it in a process of Node.js'
      t.deepEqual(
        stdout.trimEnd().split('\n'),
        [...uses, ...dials].map((use) => `${use}: ${why}`),
      )
      t.deepEqual([code, signal], [0, null])
    },
  )
}

for (const pollers of ['0', '1', '2']) {
  onLinux(`a refusal in the midst is told while nothing is half done, pollers: ${pollers}`, async (t) => {
    const { env } = refusing(t)
    const loop = buildNestedLoop()
    t.teardown(loop.remove)
    const { code, signal, stdout, stderr } = await runFixture(t, 'refused-later', {
      args: [loop.path, pollers],
      env: { ...env, ALLOW_EXTERNAL_MEMORY: 'yes' },
    })
    t.is(stderr, '')
    t.deepEqual(stdout.trimEnd().split('\n'), [
      'told: cannot share memory with this JavaScript engine',
      'meanwhile: meanwhile',
      'connections that failed: 1',
    ])
    t.deepEqual([code, signal], [0, null])
  })
}
