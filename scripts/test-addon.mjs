// Runs the TypeScript tests on an add-on that was built elsewhere.
//
//   npm run test:addon -- artifacts/netpoll.linux-x64-gnu.node

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

const addon = resolve(process.argv[2] ?? '')
if (!existsSync(addon)) throw new Error(`there is no add-on ${addon}`)
const env = { ...process.env, NAPI_RS_NATIVE_LIBRARY_PATH: addon }
for (const [command, ...args] of [
  ['npm', 'run', 'build:ts'],
  ['npx', 'tsc', '-p', '__test__/tsconfig.json'],
  ['npx', 'ava'],
]) {
  const { status } = spawnSync(command, args, { stdio: 'inherit', env })
  if (status !== 0) process.exit(status ?? 1)
}
