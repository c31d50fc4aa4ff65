// What is in the packages, as `npm run stage -- --host-only` has laid them out in npm/.

import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { artifactNames, hostTarget, manifest, root, targets } from '../package/targets.mjs'

const packages = join(root, 'npm')
const host = hostTarget()
const { addon, program } = artifactNames(host)
const readManifest = (name) => JSON.parse(readFileSync(join(packages, name, 'package.json'), 'utf8'))

/** The files that npm would publish, and their size. */
function packed(name) {
  const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
  const [result] = JSON.parse(execFileSync('npm', args, { cwd: join(packages, name), encoding: 'utf8' }))
  return { ...result, paths: result.files.map(({ path }) => path).sort() }
}

/** What compiling a source file leaves in dist. */
function compiled(path) {
  // Types of somebody else's library, which are for the compiler alone.
  if (path.endsWith('.d.ts')) return []
  const [, stem, module = ''] = /^(.*)\.(m?)ts$/.exec(path) ?? []
  return stem === undefined ? [] : [`dist/${stem}.${module}js`, `dist/${stem}.d.${module}ts`]
}

test('netpoll has what was compiled from its sources, the types of the add-on and the papers, and nothing else', () => {
  const sources = readdirSync(join(root, 'src-ts'), { recursive: true })
  const papers = ['CHANGELOG.md', 'LICENSE', 'README.md', 'THIRD-PARTY-NOTICES.md', 'package.json']
  const types = ['binding/index.d.ts']
  const { paths } = packed('netpoll')
  assert.deepEqual(paths, [...papers, ...types, ...sources.flatMap(compiled)].sort())
})

test('the package of a platform has its add-on and the papers', () => {
  const papers = ['LICENSE', 'README.md', 'THIRD-PARTY-NOTICES.md', 'package.json']
  assert.deepEqual(packed(`netpoll-${host.name}`).paths, [...papers, addon].sort())
  assert.deepEqual(packed(`netpoll-bench-${host.name}`).paths, [...papers, 'netpoll-bench'].sort())
})

test('the add-on has nothing of the faults that tests inject below its sockets', () => {
  // The feature names its variable.
  assert.ok(!readFileSync(join(packages, `netpoll-${host.name}`, addon)).includes('NETPOLL_FAULTS'))
})

test('netpoll-bench has the runner and the servers, and no results', () => {
  const { paths } = packed('netpoll-bench')
  const outside = paths.filter((path) => !/^benches\/.*\.(mjs|md|pem)$/.test(path))
  assert.deepEqual(outside, ['LICENSE', 'README.md', 'package.json'])
  for (const path of ['benches/cli.mjs', 'benches/certificate/key.pem', 'benches/servers/netpoll.mjs']) {
    assert.ok(paths.includes(path), path)
  }
  for (const path of paths.filter((name) => name.endsWith('.mjs'))) {
    // The package has no dist; it depends on netpoll.
    assert.doesNotMatch(readFileSync(join(packages, 'netpoll-bench', path), 'utf8'), /\.\.\/dist\//, path)
  }
})

test('the main packages name those of every platform, at their own version, and nothing else is installed', () => {
  for (const name of ['netpoll', 'netpoll-bench']) {
    const { version, optionalDependencies, dependencies = {}, scripts, devDependencies } = readManifest(name)
    const expected = Object.fromEntries(targets.map((target) => [`${name}-${target.name}`, version]))
    assert.deepEqual(optionalDependencies, expected)
    assert.deepEqual(dependencies, name === 'netpoll' ? {} : { netpoll: version })
    assert.equal(scripts, undefined)
    assert.equal(devDependencies, undefined)
  }
})

test('every platform has a package that installs on it alone', () => {
  for (const { name, os, cpu, libc } of targets) {
    for (const [prefix, file] of [
      ['netpoll', `netpoll.${name}.node`],
      ['netpoll-bench', 'netpoll-bench'],
    ]) {
      const platform = readManifest(`${prefix}-${name}`)
      assert.equal(platform.name, `${prefix}-${name}`)
      assert.equal(platform.version, manifest.version)
      assert.deepEqual(platform.os, [os])
      assert.deepEqual(platform.cpu, [cpu])
      assert.deepEqual(platform.libc, libc && [libc])
      assert.deepEqual(platform.files, [file, 'THIRD-PARTY-NOTICES.md'])
      assert.equal(platform.license, manifest.license)
      assert.deepEqual(platform.repository, manifest.repository)
      assert.deepEqual(platform.engines, manifest.engines)
    }
  }
})

/** What a program of binutils says about a file. */
const inspect = (command, ...args) =>
  execFileSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 26, stdio: ['ignore', 'pipe', 'ignore'] })

const isLinux = host.os === 'linux'
const artifact = (name) => join(root, 'artifacts', name)

const readme = readFileSync(join(root, 'README.md'), 'utf8')

test('binaries need no newer glibc than README says', { skip: host.libc !== 'glibc' }, () => {
  const [, stated] = /glibc 2\.(\d+) or newer/.exec(readme)
  for (const name of [addon, program]) {
    const versions = [...inspect('objdump', '-T', artifact(name)).matchAll(/GLIBC_(\d+)\.(\d+)/g)]
    assert.ok(versions.length > 0)
    for (const [version, major, minor] of versions) {
      assert.ok(Number(major) === 2 && Number(minor) <= Number(stated), `${name} needs ${version}`)
    }
  }
})

test('binaries are stripped, and their symbols are in files beside them', { skip: !isLinux }, () => {
  for (const name of [addon, program]) {
    const sections = (file) => inspect('readelf', '--sections', '--wide', file)
    assert.doesNotMatch(sections(artifact(name)), /\.symtab|\.debug_(info|line)/)
    assert.match(sections(artifact(name)), /\.gnu_debuglink/)
    assert.match(sections(artifact(`${name}.debug`)), /\.symtab/)
    assert.match(sections(artifact(`${name}.debug`)), /\.debug_line/)
  }
})

test('the add-on stays mapped when a worker that loaded it ends', { skip: host.libc !== 'glibc' }, () => {
  assert.match(inspect('readelf', '--dynamic', artifact(addon)), /NODELETE/)
})

test('what is installed is as large as README says', () => {
  const stated = /([\d.]+) MB for the add-on \(half of it to download\), ([\d.]+) MB for the JavaScript/.exec(
    readme,
  )
  const [addonSize, scriptSize] = stated.slice(1).map((megabytes) => Number(megabytes) * 1e6)
  const { size, unpackedSize } = packed(`netpoll-${host.name}`)
  const main = packed('netpoll').unpackedSize
  console.log(
    `# the add-on takes ${unpackedSize} bytes, ${size} packed; the JavaScript and its types ${main}`,
  )
  assert.ok(Math.abs(unpackedSize / addonSize - 1) < 0.2, 'the add-on')
  assert.ok(Math.abs(size / (addonSize / 2) - 1) < 0.2, 'the add-on, packed')
  assert.ok(Math.abs(main / scriptSize - 1) < 0.2, 'the JavaScript')
})

test('the program knows its version', () => {
  const { stdout } = spawnSync(artifact(program), ['--version'], { encoding: 'utf8' })
  assert.equal(stdout.trim(), `netpoll-bench ${manifest.version}`)
})
