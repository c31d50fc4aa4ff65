// Preloaded into every process of `npm run test:tls`: the suite runs with TLS, and is watched doing so.

import { secureConnections } from './package.mjs'
import { securePeers } from './peers.mjs'
import { folder } from './record.mjs'
import { followTests, watchTests } from './tests.mjs'

if (folder !== undefined) {
  const [, program = ''] = process.argv
  secureConnections()
  securePeers()
  followTests()
  if (/\/ava\/lib\/worker\/base\.js$/.test(program)) await watchTests(program)
}
