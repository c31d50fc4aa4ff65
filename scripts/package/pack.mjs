// Packs the packages in npm/, as they are published, into npm/packed/. Its file `order` names each archive and its package,
// behind those that it depends on: all that a release has to know to publish them.
//
//   node scripts/package/pack.mjs [--host-only]

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { hostTarget, root, targets } from './targets.mjs'

const { values } = parseArgs({ options: { 'host-only': { type: 'boolean', default: false } } })
const platforms = (values['host-only'] ? [hostTarget()] : targets).map(({ name }) => name)
const names = ['netpoll', 'netpoll-bench'].flatMap((name) => [
  ...platforms.map((platform) => `${name}-${platform}`),
  name,
])
const packed = join(root, 'npm', 'packed')
const manifestOf = (name) => JSON.parse(readFileSync(join(root, 'npm', name, 'package.json'), 'utf8'))

/** Whether everything that a package promises is there: none is published without its binary. */
function requireComplete(name) {
  const missing = manifestOf(name).files.filter((file) => !existsSync(join(root, 'npm', name, file)))
  if (missing.length > 0) throw new Error(`npm/${name} lacks ${missing.join(', ')}`)
}

/** Packs one package; returns its line of the order. */
function pack(name) {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', packed]
  const [{ filename }] = JSON.parse(
    execFileSync('npm', args, { cwd: join(root, 'npm', name), encoding: 'utf8' }),
  )
  return `${filename} ${name}@${manifestOf(name).version}\n`
}

for (const name of names) requireComplete(name)
rmSync(packed, { recursive: true, force: true })
mkdirSync(packed)
writeFileSync(join(packed, 'order'), names.map(pack).join(''))
