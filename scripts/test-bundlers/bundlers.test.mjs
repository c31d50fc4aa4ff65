// Does with each bundler what docs/guides/bundlers.md says, and runs what comes out of it: where it was built, and in a
// folder that has nothing else.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { installLocked } from '../install-locked.mjs'
import { artifactNames, hostTarget, manifest, root } from '../package/targets.mjs'
import { executable, executableWithAssets, program, recipeOf } from './guide.mjs'

const tools = join(root, 'scripts', 'test-bundlers', 'tools')
const host = hostTarget()
const { addon } = artifactNames(host)
const folder = mkdtempSync(join(tmpdir(), 'netpoll-bundlers-'))
const project = join(folder, 'project')
const build = join(project, 'build')
/** Where programs leave files for a while. */
const temporary = join(folder, 'temporary')
const served = 'hello by a worker\n'

/** The fuse that a Node.js has which can become another program. */
const fuse = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'

let skipped
after(() => rmSync(folder, { recursive: true, force: true }))

/** What a command prints; fails with it. */
function run(command, args, { cwd = project } = {}) {
  // Other files than those of the test are no place to look for an add-on.
  const { NAPI_RS_NATIVE_LIBRARY_PATH: _, ...env } = process.env
  const options = { cwd, env: { ...env, TMPDIR: temporary }, encoding: 'utf8', timeout: 240_000 }
  const outcome = spawnSync(command, args, options)
  const { status, stdout, stderr } = outcome
  assert.equal(status, 0, `${command} ${args.join(' ')}:\n${stdout}\n${stderr}\n${outcome.error ?? ''}`)
  return { stdout, stderr }
}

/** Lays the packages out as npm would, from what was built. */
function installPackages() {
  const main = join(project, 'node_modules', 'netpoll')
  mkdirSync(join(main, 'binding'), { recursive: true })
  for (const path of ['package.json', 'dist', 'binding/index.d.ts']) {
    cpSync(join(root, path), join(main, path), { recursive: true })
  }
  const own = join(project, 'node_modules', `netpoll-${host.name}`)
  mkdirSync(own)
  cpSync(join(root, 'binding', addon), join(own, addon))
  const { version } = manifest
  writeFileSync(
    join(own, 'package.json'),
    JSON.stringify({ name: `netpoll-${host.name}`, version, main: addon }),
  )
}

/** Carries out what the guide says, with nothing left of what was built before; returns what was printed. */
function follow({ files, commands }) {
  rmSync(build, { recursive: true, force: true })
  for (const [name, source] of Object.entries({ ...program, ...files })) {
    writeFileSync(join(project, name), source)
  }
  const { stdout, stderr } = run('sh', ['-e', '-c', commands])
  return stdout + stderr
}

/** The program that was built. */
function built(where) {
  const names = ['app.js', 'app.mjs', 'index.mjs', 'index.js']
  return join(
    where,
    names.find((name) => existsSync(join(where, name))),
  )
}

/** A copy of what was built, in a folder without anything else. */
function elsewhere(name) {
  const copy = join(folder, `elsewhere-${name}`)
  rmSync(copy, { recursive: true, force: true })
  cpSync(build, copy, { recursive: true })
  return copy
}

const runProgram = (where) => run(process.execPath, [built(where)], { cwd: where }).stdout

/** Takes what lies beside a bundle and matches away. */
function removeFrom(where, pattern) {
  for (const name of readdirSync(where)) if (pattern.test(name)) rmSync(join(where, name))
}

/** Preloaded: prints why a program ends, and not the line of its bundle beside that, which may be all of it. */
const reporter = `process.once('unhandledRejection', ({ code, message }) => {
  console.log(code + ': ' + message)
  process.exit(1)
})`

/** What a program says that lacks something. */
function failureOf(where) {
  const preloaded = join(folder, 'reporter.cjs')
  writeFileSync(preloaded, reporter)
  const args = ['--require', preloaded, built(where)]
  return spawnSync(process.execPath, args, { cwd: where, encoding: 'utf8' }).stdout
}

before(() => {
  for (const path of [project, temporary]) mkdirSync(path)
  for (const name of ['package.json', 'package-lock.json']) cpSync(join(tools, name), join(project, name))
  try {
    installLocked(project)
  } catch (cause) {
    const problem = 'npm cannot install the bundlers'
    if (process.env.CI === 'true') throw new Error(problem, { cause })
    skipped = problem
    return
  }
  installPackages()
})

for (const bundler of ['esbuild', 'webpack', 'ncc', 'rollup']) {
  describe(bundler, () => {
    test('leaves the package out', (t) => {
      if (skipped) return t.skip(skipped)
      assert.doesNotMatch(follow(recipeOf('Keeping netpoll external', bundler)), /warning/i)
      assert.ok(readFileSync(built(build), 'utf8').length < 20_000, 'the package is in the bundle')
      assert.equal(runProgram(build), served)
    })

    test('takes the package in', (t) => {
      if (skipped) return t.skip(skipped)
      assert.doesNotMatch(follow(recipeOf('Bundling netpoll', bundler)), /warning/i)
      const copy = elsewhere(bundler)
      assert.equal(runProgram(copy), served)

      removeFrom(copy, /^netpoll-worker/)
      const ofThreads = /^ERR_UNSUPPORTED: The file of worker threads is neither netpoll-worker\.js beside /
      assert.match(failureOf(copy), ofThreads)
      removeFrom(copy, /\.node$/)
      const ofAddon =
        /^ERR_UNSUPPORTED: The add-on of netpoll is neither netpoll\.\S+\.node beside the bundle /
      assert.match(failureOf(copy), ofAddon)

      // In the project both are installed.
      removeFrom(build, /^netpoll-worker|\.node$/)
      assert.equal(runProgram(build), served)
    })
  })
}

/** Why this Node.js cannot become another program, if it cannot. */
function whyNoExecutable() {
  // Elsewhere an executable has to be signed.
  if (process.platform !== 'linux') return 'only tried on Linux'
  if (!readFileSync(process.execPath).includes(fuse)) return 'this Node.js has no fuse'
  return undefined
}

describe('single executables', () => {
  test('with files beside them', (t) => {
    const reason = skipped ?? whyNoExecutable()
    if (reason) return t.skip(reason)
    follow(executable)
    const copy = elsewhere('executable')
    assert.deepEqual(readdirSync(copy).sort(), ['app', 'handler.js', addon, 'netpoll-worker.js'].sort())
    assert.equal(run(join(copy, 'app'), [], { cwd: folder }).stdout, served)
  })

  test('with the add-on within', (t) => {
    const reason = skipped ?? whyNoExecutable()
    if (reason) return t.skip(reason)
    const commands = executable.commands.replace(/^echo .*$/m, '').replace(/^cp .*\.node build\/$/m, '')
    const files = { ...executable.files, 'sea.json': executableWithAssets }
    files['app.mjs'] = `import './assets.mjs'\n${program['app.mjs']}`
    follow({ files, commands })
    const copy = elsewhere('assets')
    renameSync(join(copy, 'app'), join(copy, 'renamed'))
    assert.deepEqual(readdirSync(copy).sort(), ['handler.js', 'netpoll-worker.js', 'renamed'])
    assert.equal(run(join(copy, 'renamed'), [], { cwd: folder }).stdout, served)
    // Whatever npm may have left there.
    const left = readdirSync(temporary).filter((name) => name.startsWith('app-'))
    assert.deepEqual(left, [])
  })
})
