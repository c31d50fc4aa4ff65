import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

import { currentReport, loadedAddon } from '../support/addon.mjs'
import { dynamicFlags } from '../support/elf.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
/** The flag of `-z nodelete`. */
const nodelete = 0x8

const isGlibc = process.platform === 'linux' && currentReport().header.glibcVersionRuntime !== undefined
const testOnGlibc = isGlibc ? test : test.skip

testOnGlibc('the add-on stays mapped when the thread that loaded it ends', (t) => {
  t.is(dynamicFlags(loadedAddon()) & nodelete, nodelete)
})

testOnGlibc('so does one that is built with flags of the environment', (t) => {
  if (spawnSync('cargo', ['--version']).status !== 0) {
    t.log('skipped: there is no cargo')
    t.pass()
    return
  }
  t.timeout(600_000, 'compiling takes a minute the first time')
  // Elsewhere: flags of the environment have everything compiled anew.
  const target = join(root, 'target', 'rustflags')
  mkdirSync(target, { recursive: true })
  const args = ['build', '--quiet', '--locked', '--package', 'netpoll-node', '--target-dir', target]
  const env = { ...process.env, RUSTFLAGS: '-C debuginfo=0', LD_PRELOAD: '' }
  execFileSync('cargo', args, { cwd: root, env, stdio: ['ignore', 'ignore', 'pipe'] })
  t.is(dynamicFlags(join(target, 'debug', 'libnetpoll_node.so')) & nodelete, nodelete)
})
