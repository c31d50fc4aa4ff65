// Lays out the packages as they are published, in npm/, one folder each, from dist/, binding/ and artifacts/.
//
//   npm run stage [-- --host-only]
//
// With --host-only the packages of other platforms have no binaries, and are there for their manifests alone.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { stageBench } from './stage-bench.mjs'
import { artifactNames, hostTarget, manifest, root, targets } from './targets.mjs'

const packages = join(root, 'npm')
const artifacts = join(root, 'artifacts')
const notices = 'THIRD-PARTY-NOTICES.md'

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'))
const writeJson = (path, value) => writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`)

/** Fields of package.json that are of no use to whoever installs the package. */
const ofDevelopment = ['scripts', 'devDependencies', 'ava', 'napi']

/** Folders of an earlier run. */
function clean() {
  for (const entry of readdirSync(packages, { withFileTypes: true })) {
    if (entry.isDirectory()) rmSync(join(packages, entry.name), { recursive: true })
  }
}

/** What napi works on: the main package, with packages of the platforms in a folder of its own. */
function copyMain(folder) {
  mkdirSync(folder)
  for (const path of [...manifest.files, 'package.json']) {
    cpSync(join(root, path), join(folder, path), { recursive: true })
  }
}

/**
 * Lets napi make the packages of all platforms, give those of `built` their add-ons, and name them as optional
 * dependencies of the main one.
 */
function runNapi(folder, built) {
  const napi = (...args) => execFileSync('npx', ['napi', ...args], { cwd: folder, stdio: 'inherit' })
  mkdirSync(join(folder, 'npm'))
  napi('create-npm-dirs')
  for (const { name } of targets) complete(join(folder, 'npm', name))
  const config = join(folder, 'napi.json')
  writeJson(config, { ...manifest.napi, targets: built.map(({ triple }) => triple) })
  const found = join(folder, 'artifacts')
  mkdirSync(found)
  for (const { addon } of built.map(artifactNames)) cpSync(join(artifacts, addon), join(found, addon))
  napi('artifacts', '--config-path', 'napi.json', '--output-dir', 'artifacts')
  napi('pre-publish', '--config-path', 'napi.json', '--tag-style', 'npm', '--skip-optional-publish')
}

/** Completes what napi made of a platform's package. */
function complete(folder) {
  const path = join(folder, 'package.json')
  const platformManifest = readJson(path)
  const files = [...platformManifest.files, notices]
  writeJson(path, { ...platformManifest, type: manifest.type, files })
  for (const file of [notices, 'LICENSE']) cpSync(join(root, file), join(folder, file))
}

/** Puts every platform's package beside the main one, and takes from that what napi needed. */
function separate(folder) {
  for (const { name } of targets) {
    renameSync(join(folder, 'npm', name), join(packages, `${manifest.name}-${name}`))
  }
  for (const name of readdirSync(folder)) {
    const isLeft = ['npm', 'artifacts', 'napi.json'].includes(name) || name.endsWith('.node')
    if (isLeft) rmSync(join(folder, name), { recursive: true })
  }
  const path = join(folder, 'package.json')
  const published = Object.entries(readJson(path)).filter(([field]) => !ofDevelopment.includes(field))
  const names = targets.map(({ name }) => [`${manifest.name}-${name}`, manifest.version])
  writeJson(path, { ...Object.fromEntries(published), optionalDependencies: Object.fromEntries(names) })
}

const { values } = parseArgs({ options: { 'host-only': { type: 'boolean', default: false } } })
const built = values['host-only'] ? targets.filter(({ name }) => name === hostTarget()?.name) : targets
const main = join(packages, manifest.name)
clean()
copyMain(main)
runNapi(main, built)
separate(main)
stageBench({ packages, artifacts, built })
