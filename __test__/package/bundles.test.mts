import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'

import { loadedAddon } from '../support/addon.mjs'
import { type BundleFormat, bundle, isBuiltin, required, resolved } from '../support/bundle.mjs'
import { socketPath } from '../support/system.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  readonly version: string
}
const addon = loadedAddon()
/** Such as `linux-x64-gnu`. */
const hostName =
  /netpoll\.(.*)\.node$/.exec(
    readdirSync(join(root, 'binding')).find((name) => name.endsWith('.node')) ?? '',
  )?.[1] ?? 'none'
const addonFile = `netpoll.${hostName}.node`

/** Serves and dials with each number of pollers, by workers and by a handler here. */
const program = `
const { createServer, Dialer, lengthField } = entry
const framing = lengthField({ size: 4 })
async function ask(options, handler) {
  const server = createServer({ framing, ...options }, handler)
  try {
    await server.listen({ host: '127.0.0.1', port: 0 })
    const connection = await new Dialer({ framing, pollers: options.pollers }).dial(server.address())
    const answer = String(await connection.call('hello'))
    await connection.close()
    return answer
  } finally {
    await server.close()
  }
}
async function main() {
  for (const pollers of [0, 1, 2]) {
    const here = await ask({ pollers }, (request) => request)
    const there = await ask({ pollers, workers: { module: process.env.HANDLER, threads: 2 } })
    console.log(here, there)
  }
}
main().catch((error) => console.log(\`\${error.code}: \${error.message}\`))
`

const served = 'hello hello by a worker\n'.repeat(3)

/** A folder that has a bundle of the package in it, and nothing else but the handler of workers. */
class Deployment {
  readonly folder: string
  readonly main: string
  readonly #t: ExecutionContext

  constructor(t: ExecutionContext, format: BundleFormat = 'cjs') {
    this.#t = t
    this.folder = dirname(socketPath(t))
    this.main = join(this.folder, format === 'cjs' ? 'main.js' : 'main.mjs')
    writeFileSync(this.main, bundle('index.js', format, program))
    this.write('handler.mjs', 'export default (request) => String(request).concat(" by a worker")')
  }

  write(name: string, source: string): void {
    writeFileSync(join(this.folder, name), source)
  }

  addAddon(): void {
    cpSync(addon, join(this.folder, addonFile))
  }

  addThreadFile(name: string, format: BundleFormat = 'cjs'): void {
    this.write(name, bundle('workers/netpoll-worker.js', format))
  }

  /** Installs a package that says that it is netpoll of that version, with an add-on of its own. */
  install(installed: string): void {
    const modules = join(this.folder, 'node_modules')
    const folder = join(modules, 'netpoll')
    mkdirSync(folder, { recursive: true })
    const manifest = readFileSync(join(root, 'package.json'), 'utf8').replace(
      `"version": "${version}"`,
      `"version": "${installed}"`,
    )
    writeFileSync(join(folder, 'package.json'), manifest)
    symlinkSync(join(root, 'dist'), join(folder, 'dist'))
    const host = join(modules, `netpoll-${hostName}`)
    mkdirSync(host)
    cpSync(addon, join(host, addonFile))
    writeFileSync(
      join(host, 'package.json'),
      JSON.stringify({ name: basename(host), version: installed, main: addonFile }),
    )
  }

  async run(): Promise<string> {
    const env: NodeJS.ProcessEnv = { ...process.env, HANDLER: join(this.folder, 'handler.mjs') }
    // The suite itself may run on another add-on.
    delete env['NAPI_RS_NATIVE_LIBRARY_PATH']
    const child = spawn(process.execPath, [this.main], { stdio: ['ignore', 'pipe', 'inherit'], env })
    this.#t.teardown(() => child.kill('SIGKILL'))
    let printed = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    await once(child, 'close')
    return printed
  }
}

for (const format of ['cjs', 'esm'] as const) {
  test(`a bundle runs with the add-on and the file of threads beside it: ${format}`, async (t) => {
    const deployment = new Deployment(t, format)
    deployment.addAddon()
    deployment.addThreadFile('netpoll-worker.js')
    t.is(await deployment.run(), served)
  })

  test(`a bundle runs with what is installed beside it: ${format}`, async (t) => {
    const deployment = new Deployment(t, format)
    deployment.install(version)
    t.is(await deployment.run(), served)
  })
}

for (const [name, format] of [
  ['netpoll-worker.cjs', 'cjs'],
  ['netpoll-worker.mjs', 'esm'],
] as const) {
  test(`the file of threads may be ${name}`, async (t) => {
    const deployment = new Deployment(t)
    deployment.addAddon()
    deployment.addThreadFile(name, format)
    t.is(await deployment.run(), served)
  })
}

test('threads use the add-on of their server, and not one of their own', async (t) => {
  const deployment = new Deployment(t)
  deployment.install(version)
  // The server finds this one first; the file of threads, which is installed, would find the other.
  deployment.addAddon()
  t.is(await deployment.run(), served)
})

test('a file entry.js beside a bundle is not taken for that of threads', async (t) => {
  const deployment = new Deployment(t)
  deployment.addAddon()
  deployment.write('entry.js', 'console.log("not for threads")')
  t.regex(await deployment.run(), /^ERR_UNSUPPORTED: /)
})

for (const [title, installed] of [
  ['', undefined],
  [', and another version is installed', '0.0.9'],
] as const) {
  test(`without the file of threads a bundle says what it lacks${title}`, async (t) => {
    const deployment = new Deployment(t)
    if (installed !== undefined) deployment.install(installed)
    deployment.addAddon()
    t.is(
      await deployment.run(),
      `ERR_UNSUPPORTED: The file of worker threads is neither netpoll-worker.js beside ${deployment.main}, nor is netpoll ` +
        `${version} installed there: build the entry 'netpoll/worker' to a file of that name\n`,
    )
  })
}

for (const format of ['cjs', 'esm'] as const) {
  test(`without the add-on a bundle says what it lacks: ${format}`, async (t) => {
    const deployment = new Deployment(t, format)
    t.is(
      await deployment.run(),
      `ERR_UNSUPPORTED: The add-on of netpoll is neither ${addonFile} beside the bundle ${deployment.main}, nor is the ` +
        `package netpoll-${hostName} installed there: copy one of them, or run npm install netpoll-${hostName}@${version}\n`,
    )
  })
}

test('bundlers find everything that the package names, and nothing that they cannot follow', (t) => {
  const paths = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' })
  const scripts = paths.filter((path) => path.endsWith('.js'))
  t.true(scripts.length > 100)
  for (const path of scripts) {
    const source = readFileSync(join(root, 'dist', path), 'utf8')
    // An optional peer, of netpoll/thrift alone.
    const names = required(path).filter((name) => !isBuiltin(name) && name !== 'thrift')
    for (const name of names) {
      t.true(name.startsWith('.'), `${path} requires ${name}`)
      t.true(existsSync(join(root, 'dist', resolved(path, name))), `${path} requires ${name}`)
    }
    // Names that are known at run time: webpack warns of each that is not excepted.
    const dynamic = source.match(
      /(?<![.#\w])require\((?!["'])|\bimport\(\s*(?!\/\* webpackIgnore: true \*\/)/g,
    )
    t.is(dynamic, null, `${path} requires what is known at run time alone`)
  }
})
