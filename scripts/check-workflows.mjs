// Checks the workflow files of GitHub with actionlint, which is a Go program.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { root } from './package/targets.mjs'

const version = 'v1.7.12'
const folder = join(root, 'target', 'tools', `actionlint-${version}`)
const actionlint = join(folder, 'actionlint')

function skip(why) {
  process.stdout.write(`actionlint: skipped, ${why}\n`)
  process.exit(0)
}

if (!existsSync(actionlint)) {
  if (spawnSync('go', ['version']).status !== 0) skip('it needs Go, which is not installed')
  const module = `github.com/rhysd/actionlint/cmd/actionlint@${version}`
  const env = { ...process.env, GOBIN: folder, GOFLAGS: '-buildvcs=false' }
  const { status, stderr } = spawnSync('go', ['install', module], { env, encoding: 'utf8' })
  if (status !== 0) skip(`Go could not install it: ${stderr}`)
}
process.exitCode = spawnSync(actionlint, [], { cwd: root, stdio: 'inherit' }).status ?? 1
