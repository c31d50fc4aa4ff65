import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import {
  addonCandidates,
  addonPlatforms,
  type Host,
  shortageOf,
  whyNotLoaded,
} from '../../dist/native/platform.js'
import { version } from '../../dist/native/version.js'
import { runFixture } from '../support/system.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
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
  for (const path of ['package.json', 'dist']) {
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

for (const kind of ['undeclared', 'not in the cache']) {
  test(`with yarn's PnP the first use says the same: ${kind}`, async (t) => {
    const folder = installedCopy(t)
    const loader = fileURLToPath(new URL('../fixtures/plug-n-play.mjs', import.meta.url))
    const [listened, dialed] = await firstUse(t, [folder], { NODE_OPTIONS: `--import=${loader}`, PNP: kind })
    const [expected] = await firstUse(t, [folder])
    t.is(listened, expected)
    t.is(dialed, expected)
    t.true(listened?.startsWith(`ERR_UNSUPPORTED: The package ${addonPackage} is not installed, `), listened)
  })
}

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

const host: Host = {
  platform: 'linux',
  arch: 'arm64',
  isMusl: true,
  addonPath: undefined,
  bundle: undefined,
}

/** An error as loaders make them. */
function loadError(message: string, code?: string): Error {
  return Object.assign(new Error(message), { code })
}

/** What loaders say of a package that is not there: Node.js, yarn's PnP, Bun, and who knows who else. */
const missing = [
  loadError("Cannot find module 'netpoll-linux-arm64-musl'", 'MODULE_NOT_FOUND'),
  loadError(
    "Your application tried to access netpoll-linux-arm64-musl, but it isn't declared in your dependencies",
    'MODULE_NOT_FOUND',
  ),
  loadError("Cannot find package 'netpoll-linux-arm64-musl'", 'ERR_MODULE_NOT_FOUND'),
  loadError('', 'MODULE_NOT_FOUND'),
  { message: 'of another realm', code: 'MODULE_NOT_FOUND' },
]

test('what is said depends on the host', (t) => {
  t.true(whyNotLoaded(missing, host).endsWith(` npm install netpoll-linux-arm64-musl@${manifest.version}`))
  const said = (other: Partial<Host>): string => whyNotLoaded(missing, { ...host, ...other })
  t.true(said({ isMusl: false }).endsWith(`netpoll-linux-arm64-gnu@${manifest.version}`))
  t.true(said({ platform: 'darwin', isMusl: false }).endsWith(`netpoll-darwin-arm64@${manifest.version}`))
  t.true(said({ arch: 's390x' }).endsWith('not on linux s390x'))
  t.true(said({ platform: 'freebsd' }).endsWith('not on freebsd arm64'))
  const bundled = said({ bundle: '/app/main.js' })
  t.regex(bundled, /neither netpoll\.linux-arm64-musl\.node beside the bundle \/app\/main\.js, nor /)
})

test('that an add-on is missing is told by the code of the error, whatever its words', (t) => {
  const expected = whyNotLoaded([], host)
  t.regex(expected, /^The package netpoll-linux-arm64-musl is not installed/)
  for (const error of missing) t.is(whyNotLoaded([error], host), expected)
})

test('what keeps an add-on from loading is told, whichever candidate it is', (t) => {
  const old = loadError("version `GLIBC_2.17' not found", 'ERR_DLOPEN_FAILED')
  const wordy = loadError('Cannot find module, says the library', 'ERR_DLOPEN_FAILED')
  const prefix = 'The add-on of netpoll cannot be loaded: '
  t.is(whyNotLoaded([old, ...missing], host), prefix + old.message)
  t.is(whyNotLoaded([...missing, old], host), prefix + old.message)
  t.is(whyNotLoaded([wordy, old], host), prefix + wordy.message)
  t.is(whyNotLoaded(['odd'], host), `${prefix}odd`)
})

test('only add-ons for the platform are candidates', (t) => {
  t.deepEqual(addonCandidates(host), [
    '../../binding/netpoll.linux-arm64-musl.node',
    'netpoll-linux-arm64-musl',
  ])
  t.deepEqual(addonCandidates({ ...host, bundle: '/app/main.js' }), [
    './netpoll.linux-arm64-musl.node',
    'netpoll-linux-arm64-musl',
  ])
  t.deepEqual(addonCandidates({ ...host, platform: 'win32' }), [])
  t.deepEqual(addonCandidates({ ...host, addonPath: '/own.node' }), ['/own.node'])
})

test('a bundle knows the version of the package', (t) => {
  t.is(version, manifest.version)
})

test('a shortage is told from an add-on that does not load', (t) => {
  const because = (message: string, code?: string) => shortageOf([missing[0], loadError(message, code)])
  const { EMFILE, ENFILE, ENOMEM } = constants.errno
  t.is(because('EMFILE: too many open files, open', 'EMFILE'), EMFILE)
  t.is(because('x.node: cannot open shared object file: Too many open files'), EMFILE)
  t.is(because('x.node: cannot open: Too many open files in system'), ENFILE)
  t.is(because('x.node: failed to map segment from shared object'), ENOMEM)
  t.is(because("version `GLIBC_2.17' not found", 'ERR_DLOPEN_FAILED'), undefined)
  t.is(shortageOf(['nothing', undefined]), undefined)
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
