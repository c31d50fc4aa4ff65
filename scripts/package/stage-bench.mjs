// The packages of netpoll-bench: the benchmark of benches/, and for each platform the program that it drives. They
// are apart from netpoll so that nobody pays for them at run time.

import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { artifactNames, manifest, root, targets } from './targets.mjs'

const name = 'netpoll-bench'
const notices = 'THIRD-PARTY-NOTICES.md'
const { version, license, repository, engines } = manifest

/** What needs the checkout: the comparison with other Thrifts and with Redis, and the guard against regressions. */
const ofCheckout = /^benches\/(rpc|check)[/.]/

/** Whether whoever installs the package has a use for a file of benches/. */
const isNeeded = (path) => /\.(mjs|md|pem)$/.test(path) && !ofCheckout.test(path)

const common = { version, license, repository, engines }

function write(folder, packageManifest) {
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ ...packageManifest }, null, 2)}\n`)
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'))
}

function stageProgram(folder, target, artifact) {
  const { name: platform, os, cpu, libc } = target
  mkdirSync(folder)
  write(folder, {
    name: `${name}-${platform}`,
    description: `The program of netpoll-bench for ${platform}`,
    ...common,
    os: [os],
    cpu: [cpu],
    ...(libc === undefined ? {} : { libc: [libc] }),
    files: [name, notices],
    type: 'commonjs',
    preferUnplugged: true,
  })
  cpSync(join(root, 'crates', 'bench', notices), join(folder, notices))
  writeFileSync(
    join(folder, 'README.md'),
    `# ${name}-${platform}\n\nThe program of \`${name}\` for ${platform}.\n`,
  )
  if (artifact === undefined) return
  cpSync(artifact, join(folder, name))
  chmodSync(join(folder, name), 0o755)
}

function stageRunner(folder) {
  mkdirSync(folder)
  // What is committed: no results, nothing that was installed or built there.
  const committed = execFileSync('git', ['ls-files', 'benches'], { cwd: root, encoding: 'utf8' })
  for (const path of committed.trim().split('\n').filter(isNeeded))
    cpSync(join(root, path), join(folder, path))
  cpSync(join(root, 'benches', 'README.md'), join(folder, 'README.md'))
  const platforms = targets.map((target) => [`${name}-${target.name}`, version])
  write(folder, {
    name,
    description:
      'Measures netpoll beside node:net and a bare loop; a load client for servers of framed messages',
    ...common,
    keywords: ['benchmark', 'load', 'rpc', 'tcp', 'netpoll'],
    type: 'module',
    bin: { [name]: 'benches/cli.mjs' },
    files: ['benches'],
    dependencies: { netpoll: version },
    optionalDependencies: Object.fromEntries(platforms),
  })
}

/** Lays them out in `packages`, programs of the platforms in `built` included. */
export function stageBench({ packages, artifacts, built }) {
  stageRunner(join(packages, name))
  for (const target of targets) {
    const artifact = built.includes(target) ? join(artifacts, artifactNames(target).program) : undefined
    stageProgram(join(packages, `${name}-${target.name}`), target, artifact)
  }
}
