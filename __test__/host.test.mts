import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { addonPlatforms, type Host, shortageOf, whyNotLoaded } from '../dist/host.js'
import { runFixture } from './support/system.mjs'

const root = fileURLToPath(new URL('../', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string
  readonly napi: { readonly targets: readonly string[] }
}
const addonFile = readdirSync(join(root, 'binding')).find((name) => name.endsWith('.node')) ?? 'none.node'
const addon = join(root, 'binding', addonFile)
const addonPackage = addonFile.replace(/^netpoll\.(.*)\.node$/, 'netpoll-$1')

/** The package as it is installed, without an add-on. */
function installedCopy(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'netpoll-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'binding'))
  for (const path of ['package.json', 'dist', 'binding/index.js']) {
    cpSync(join(root, path), join(folder, path), { recursive: true })
  }
  return folder
}

async function firstUse(
  t: ExecutionContext,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<readonly string[]> {
  const { code, stdout, stderr } = await runFixture(t, 'first-use', {
    args,
    // The suite itself may run on another add-on.
    env: { NAPI_RS_NATIVE_LIBRARY_PATH: undefined, ...env },
  })
  t.is(stderr, '')
  t.is(code, 0)
  return stdout.trimEnd().split('\n')
}

test('a platform without an add-on can import the package, and its first use says what is supported', async (t) => {
  const supported = 'netpoll runs on Linux and macOS, each on x64 and arm64'
  const expected = `ERR_UNSUPPORTED: ${supported}, and not on win32 ${process.arch}`
  t.deepEqual(await firstUse(t, [installedCopy(t), 'win32']), [expected, expected])
})

test('where the package with the add-on is missing, the first use says which and how to mend it', async (t) => {
  const [listened = '', dialed] = await firstUse(t, [installedCopy(t)])
  t.is(dialed, listened)
  t.true(listened.startsWith(`ERR_UNSUPPORTED: The package ${addonPackage} is not installed, `), listened)
  t.true(listened.endsWith(`npm install ${addonPackage}@${manifest.version}`), listened)
})

test('an add-on that does not load says why', async (t) => {
  const folder = installedCopy(t)
  writeFileSync(join(folder, 'binding', addonFile), 'no library')
  const [listened = ''] = await firstUse(t, [folder])
  t.true(listened.startsWith('ERR_UNSUPPORTED: The add-on of netpoll cannot be loaded: '), listened)
  t.true(listened.includes(addonFile), listened)
})

test('NAPI_RS_NATIVE_LIBRARY_PATH names another add-on', async (t) => {
  const folder = installedCopy(t)
  const [listened, dialed] = await firstUse(t, [folder], { NAPI_RS_NATIVE_LIBRARY_PATH: addon })
  t.is(listened, 'worked')
  t.true(dialed?.startsWith('ENOTSOCK'), dialed)

  const missing = join(folder, 'missing.node')
  const [failed = ''] = await firstUse(t, [folder], { NAPI_RS_NATIVE_LIBRARY_PATH: missing })
  const wrong = 'ERR_UNSUPPORTED: The add-on that NAPI_RS_NATIVE_LIBRARY_PATH names cannot be loaded: '
  t.is(failed, `${wrong}${missing}`)
})

test('what is said depends on the host and on what was tried', (t) => {
  const host: Host = {
    platform: 'linux',
    arch: 'arm64',
    isMusl: true,
    addonPath: undefined,
    version: '1.2.3',
  }
  const missing = new Error('Cannot find native binding.', {
    cause: new Error("Cannot find module 'netpoll-linux-arm64-musl'", {
      cause: new Error("Cannot find module './netpoll.linux-arm64-musl.node'"),
    }),
  })
  t.true(whyNotLoaded(missing, host).endsWith(' npm install netpoll-linux-arm64-musl@1.2.3'))
  t.true(whyNotLoaded(missing, { ...host, isMusl: false }).endsWith('netpoll-linux-arm64-gnu@1.2.3'))
  const mac: Host = { ...host, platform: 'darwin', isMusl: false }
  t.true(whyNotLoaded(missing, mac).endsWith('netpoll-darwin-arm64@1.2.3'))
  t.true(whyNotLoaded(missing, { ...host, arch: 's390x' }).endsWith('not on linux s390x'))
  t.true(whyNotLoaded(missing, { ...host, platform: 'freebsd' }).endsWith('not on freebsd arm64'))

  const old = new Error('Cannot find native binding.', { cause: new Error("version `GLIBC_2.17' not found") })
  t.is(whyNotLoaded(old, host), "The add-on of netpoll cannot be loaded: version `GLIBC_2.17' not found")
  t.is(whyNotLoaded(new Error('odd'), host), 'The add-on of netpoll cannot be loaded: odd')
})

test('a shortage is told from an add-on that does not load', (t) => {
  const because = (message: string, code?: string): Error =>
    new Error('Cannot find native binding.', { cause: Object.assign(new Error(message), { code }) })
  const { EMFILE, ENFILE, ENOMEM } = constants.errno
  t.is(shortageOf(because('EMFILE: too many open files, open', 'EMFILE')), EMFILE)
  t.is(shortageOf(because('x.node: cannot open shared object file: Too many open files')), EMFILE)
  t.is(shortageOf(because('x.node: cannot open: Too many open files in system')), ENFILE)
  t.is(shortageOf(because('x.node: failed to map segment from shared object')), ENOMEM)
  t.is(shortageOf(because("version `GLIBC_2.17' not found", 'ERR_DLOPEN_FAILED')), undefined)
  t.is(shortageOf('nothing'), undefined)
})

for (const pollers of ['0', '1']) {
  const threads = Number(pollers)
  for (const [spare, told] of [
    ['0', 'EMFILE dlopen, EMFILE dlopen'],
    ['1', 'EMFILE poll, EMFILE poll'],
    ['2', 'EMFILE connect, EMFILE listen'],
  ] as const) {
    test(`with ${spare} descriptors left the system's code is told, and it works later, pollers: ${pollers}`, async (t) => {
      const { code, stdout, stderr } = await runFixture(t, 'shortage', { args: [spare, pollers] })
      t.is(stderr, '')
      t.is(stdout, `${told}\nserved, threads: ${threads}\n`)
      t.is(code, 0)
    })
  }
}

test('the hosts with an add-on are those that the release builds for', (t) => {
  const built = manifest.napi.targets.map((triple) =>
    triple
      .replace(/^x86_64-/, 'x64-')
      .replace(/^aarch64-/, 'arm64-')
      .replace(/^(\w+)-unknown-linux-(\w+)$/, 'linux-$1-$2')
      .replace(/^(\w+)-apple-darwin$/, 'darwin-$1'),
  )
  t.deepEqual([...addonPlatforms].sort(), built.sort())
})
