// Publishes the packages in npm/, each after those that it depends on. Those that the registry has are left out, so
// that a release that broke off can be run again.
//
//   node scripts/package/publish.mjs [--host-only] [--provenance]

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { hostTarget, root, targets } from './targets.mjs'

const { values } = parseArgs({
  options: {
    'host-only': { type: 'boolean', default: false },
    provenance: { type: 'boolean', default: false },
  },
})
const platforms = (values['host-only'] ? [hostTarget()] : targets).map(({ name }) => name)
const names = ['netpoll', 'netpoll-bench'].flatMap((name) => [
  ...platforms.map((platform) => `${name}-${platform}`),
  name,
])

/** Whether everything that a package promises is there: nobody publishes one without its binary. */
function requireComplete(name) {
  const folder = join(root, 'npm', name)
  const { files } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const missing = files.filter((file) => !existsSync(join(folder, file)))
  if (missing.length > 0) throw new Error(`npm/${name} lacks ${missing.join(', ')}`)
}

function isPublished(name) {
  const { version } = JSON.parse(readFileSync(join(root, 'npm', name, 'package.json'), 'utf8'))
  return (
    spawnSync('npm', ['view', `${name}@${version}`, 'version'], { encoding: 'utf8' }).stdout.trim() ===
    version
  )
}

for (const name of names) requireComplete(name)
for (const name of names) {
  if (isPublished(name)) {
    process.stdout.write(`${name} is published already\n`)
    continue
  }
  const args = ['publish', '--access', 'public', ...(values.provenance ? ['--provenance'] : [])]
  const { status } = spawnSync('npm', args, { cwd: join(root, 'npm', name), stdio: 'inherit' })
  if (status !== 0) throw new Error(`${name} was not published`)
}
