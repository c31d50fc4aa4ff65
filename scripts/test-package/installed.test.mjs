// The packages as users have them: published to a registry of our own, and installed in empty projects.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

import {
  addCertificate,
  checkBlocks,
  codeBlocks,
  compileBlocks,
  documentationFiles,
  isProgram,
  resolutions,
  runBlock,
} from '../../.test/support/code-blocks.mjs'
import { publishCommands } from '../package/publishing.mjs'
import { artifactNames, hostTarget, manifest, root } from '../package/targets.mjs'
import { Project, userFile } from './project.mjs'
import { startRegistry } from './registry.mjs'
import { isTooOldForThrift, publishThriftLibrary } from './thrift-library.mjs'
import { installTools, nodeForRegistry, nodeVersions, tool } from './tools.mjs'

installTools()
const host = hostTarget().name
const packages = join(root, 'npm')
/** Of libraries that users put around netpoll: the suite runs these blocks, with the libraries of this repository. */
const needsLibrary = ({ source }) => /from '(?:cockatiel|prom-client|@opentelemetry\/api)'/.test(source)
const scratch = mkdtempSync(join(tmpdir(), 'netpoll-package-'))
const published = [`netpoll-${host}`, 'netpoll', `netpoll-bench-${host}`, 'netpoll-bench']
let registry

const typedBlocks = documentationFiles(root).flatMap((file) => codeBlocks(root, file))
const blocks = typedBlocks.filter(isProgram)
const compiledBlocks = join(root, '.test', 'documentation')
/** What Apache Thrift's compiler has made. */
const generated = join(compiledBlocks, 'compiled', 'gen-nodejs')

before(async () => {
  assert.equal(compileBlocks(root, compiledBlocks, typedBlocks), '')
  const verdaccio = tool('verdaccio', 'bin', 'verdaccio')
  registry = await startRegistry({ folder: join(scratch, 'registry'), node: nodeForRegistry(), verdaccio })
  const publisher = new Project({ node: process.execPath, registry })
  const pack = [join(root, 'scripts', 'package', 'pack.mjs'), '--host-only']
  assert.equal(spawnSync(process.execPath, pack, { stdio: 'inherit' }).status, 0)
  cpSync(join(packages, 'packed'), join(publisher.folder, 'packages'), { recursive: true })
  // As a release does, which may have broken off.
  publisher.run('sh', ['-e', '-c', publishCommands()])
  const again = publisher.run('sh', ['-e', '-c', publishCommands()]).stdout
  assert.equal(again.match(/ is published already$/gm)?.length, published.length)
  publishThriftLibrary(publisher)
  publisher.remove()
})

after(async () => {
  await registry?.stop()
  rmSync(scratch, { recursive: true, force: true })
})

/** A project with packages in it, gone with the test. */
function project(t, node, install) {
  const made = new Project({ node, registry })
  t.after(() => made.remove())
  made.run('npm', ['install', ...install])
  return made
}

for (const { version, program } of nodeVersions()) {
  describe(`Node.js ${version}`, () => {
    test('installs two packages, and runs ES modules and CommonJS', (t) => {
      const user = project(t, program, ['netpoll'])
      const installed = readdirSync(user.path('node_modules')).filter((name) => !name.startsWith('.'))
      assert.deepEqual(installed.sort(), ['netpoll', `netpoll-${host}`])
      assert.equal(user.use('esm.mjs'), 'used\n')
      assert.equal(user.use('cjs.cjs'), 'used\n')
    })

    test('gives ES modules and CommonJS the same by every entry', (t) => {
      const user = project(t, program, ['netpoll', 'thrift'])
      const args = isTooOldForThrift(version) ? ['./thrift'] : []
      assert.equal(user.use('entries.mjs', { args }), 'the same\n')
    })

    test('runs what README and guides show', async (t) => {
      const user = project(t, program, ['netpoll', 'thrift'])
      addCertificate(root, user.folder)
      cpSync(join(compiledBlocks, 'compiled'), user.path('compiled'), { recursive: true })
      for (const block of blocks) {
        if (block.source.includes("'netpoll/thrift'") && isTooOldForThrift(version)) continue
        if (needsLibrary(block)) continue
        const { code, stderr } = await runBlock(block, {
          folder: user.folder,
          cwd: user.folder,
          node: program,
        })
        assert.equal(stderr, '', `${block.file}, line ${block.line}`)
        assert.equal(code, 0, `${block.file}, line ${block.line}`)
      }
    })

    test('echoes under load, every byte compared', async (t) => {
      const user = project(t, program, ['netpoll', 'netpoll-bench'])
      cpSync(userFile('echo.mjs'), user.path('echo.mjs'))
      const server = user.start('node', ['echo.mjs'])
      const [port] = await once(server.stdout, 'data')
      const load = ['--connections', '100', '--in-flight', '16', '--count', '200000', '--verify', '--json']
      const client = ['netpoll-bench', 'client', '--tcp', `127.0.0.1:${String(port).trim()}`, ...load]
      assert.doesNotThrow(() => JSON.parse(user.run('npx', ['--no-install', ...client]).stdout))
      const ended = once(server, 'exit')
      server.stdin.end()
      assert.deepEqual(await ended, [0, null])
    })
  })
}

for (const [name, program, words] of [
  ['Bun', tool('bun', 'bin', 'bun'), ['run']],
  ['Deno', tool('deno', 'deno'), ['run', '--allow-all']],
]) {
  test(`${name} runs ES modules and CommonJS`, { skip: !existsSync(program) }, (t) => {
    const user = project(t, process.execPath, ['netpoll', 'thrift'])
    for (const file of ['esm.mjs', 'cjs.cjs', 'entries.mjs']) {
      cpSync(userFile(file), user.path(file))
      user.run(program, [...words, file])
    }
  })
}

describe('TypeScript', () => {
  const older = ['5.4', '5.6', '5.9', '6.0'].map((version) => ({
    version,
    tsc: tool(`typescript-${version}`, 'bin', 'tsc'),
  }))
  const compilers = [
    ...older,
    { version: '7.0', tsc: join(root, 'node_modules', 'typescript', 'bin', 'tsc') },
  ]
  /** How modules are resolved, and what kind of file a module is. */
  const settings = {
    nodenext: { extension: 'mts', module: 'nodenext', moduleResolution: 'nodenext' },
    'nodenext, CommonJS': { extension: 'cts', module: 'nodenext', moduleResolution: 'nodenext' },
    bundler: { extension: 'mts', module: 'esnext', moduleResolution: 'bundler', esModuleInterop: true },
    node10: { extension: 'ts', module: 'commonjs', moduleResolution: 'node10', esModuleInterop: true },
  }
  const typeRoots = [join(root, 'node_modules', '@types')]
  /** What a compiler wants to be told about `node10`; undefined where it has none. */
  const old = { '6.0': { ignoreDeprecations: '6.0' }, '7.0': undefined }
  const special = (version, resolution) => (resolution === 'node10' && version in old ? old[version] : {})

  for (const { version, tsc } of compilers) {
    for (const [title, { extension, ...options }] of Object.entries(settings)) {
      const more = special(version, options.moduleResolution)
      test(`TypeScript ${version}, ${title}`, { skip: more === undefined }, (t) => {
        const user = project(t, process.execPath, ['netpoll', 'thrift'])
        const modules = ['typed', 'typed-rpc', 'typed-thrift']
        for (const name of modules) cpSync(userFile(`${name}.ts`), user.path(`${name}.${extension}`))
        cpSync(generated, user.path('gen-nodejs'), { recursive: true })
        cpSync(userFile('Echo.d.ts'), user.path('gen-nodejs', 'Echo.d.ts'))
        const files = modules.map((name) => `${name}.${extension}`)
        const compilerOptions = {
          ...options,
          target: 'es2022',
          strict: true,
          exactOptionalPropertyTypes: true,
          types: ['node'],
          typeRoots,
          ...more,
        }
        writeFileSync(user.path('tsconfig.json'), JSON.stringify({ compilerOptions, files }))
        user.run('node', [tsc, '-p', '.'])
        for (const file of files) {
          assert.equal(user.run('node', [file.replace(/ts$/, 'js')]).stdout, 'used\n', file)
        }
      })
    }

    for (const resolution of Object.keys(resolutions)) {
      const more = special(version, resolution)
      test(`the guides, TypeScript ${version}, ${resolution}`, { skip: more === undefined }, (t) => {
        const user = project(t, process.execPath, ['netpoll', 'thrift'])
        const options = { noEmit: true, typeRoots, ...more }
        const ours = typedBlocks.filter((block) => !needsLibrary(block))
        assert.equal(checkBlocks(user.path('guides'), ours, { tsc, resolution, options }), '')
      })
    }
  }
})

test('netpoll-bench measures on a machine that has only Node.js', (t) => {
  const user = project(t, process.execPath, ['netpoll-bench'])
  const { stdout } = user.run('npx', ['--no-install', 'netpoll-bench', '--quick', '--scenario', 'tcp-100x1'])
  assert.match(stdout, /netpoll/)
  assert.match(user.run('npx', ['--no-install', 'netpoll-bench', 'help']).stdout, /transfer-server/)
})

test('where npm left the add-on out, the first use says so, and what it says mends it', (t) => {
  const user = project(t, process.execPath, ['--omit=optional', 'netpoll'])
  assert.ok(!user.has('node_modules', `netpoll-${host}`))
  const said = user.use('first-use.mjs')
  assert.match(said, new RegExp(`^ERR_UNSUPPORTED: The package netpoll-${host} is not installed`))
  const [, advice] = /run npm install (netpoll-\S+)$/m.exec(said)
  assert.equal(advice, `netpoll-${host}@${manifest.version}`)
  user.run('npm', ['install', advice])
  assert.equal(user.use('esm.mjs'), 'used\n')
})

test('NAPI_RS_NATIVE_LIBRARY_PATH names another add-on', (t) => {
  const user = project(t, process.execPath, ['--omit=optional', 'netpoll'])
  const addon = join(root, 'artifacts', artifactNames(hostTarget()).addon)
  assert.equal(user.use('esm.mjs', { env: { NAPI_RS_NATIVE_LIBRARY_PATH: addon } }), 'used\n')
  const said = user.use('first-use.mjs', { env: { NAPI_RS_NATIVE_LIBRARY_PATH: user.path('none.node') } })
  assert.match(said, /^ERR_UNSUPPORTED: The add-on that NAPI_RS_NATIVE_LIBRARY_PATH names cannot be loaded: /)
})

test('elsewhere the package is imported, and the first use says where it runs', (t) => {
  const user = project(t, process.execPath, ['--omit=optional', 'netpoll'])
  for (const name of ['elsewhere.cjs', 'first-use.mjs']) cpSync(userFile(name), user.path(name))
  const { stdout } = user.run('node', ['--require', './elsewhere.cjs', 'first-use.mjs'])
  const supported = 'netpoll runs on Linux and macOS, each on x64 and arm64'
  assert.equal(stdout, `ERR_UNSUPPORTED: ${supported}, and not on win32 ${process.arch}\n`)
})

test('publint and attw have nothing to say', (t) => {
  const user = new Project({ node: process.execPath, registry })
  t.after(() => user.remove())
  for (const name of published) {
    const { stdout } = user.run('npm', ['pack', '--silent', '--pack-destination', user.folder], {
      cwd: join(packages, name),
    })
    const tarball = user.path(stdout.trim())
    const publint = user.run('node', [tool('publint', 'src', 'cli.js'), 'run', '--strict', tarball], {
      mayFail: true,
    })
    assert.match(publint.stdout, /All good!/, publint.stdout)
    if (name !== 'netpoll') continue
    const attw = user.run('node', [tool('@arethetypeswrong', 'cli', 'dist', 'index.js'), tarball], {
      mayFail: true,
    })
    assert.equal(attw.status, 0, attw.stdout)
  }
})
