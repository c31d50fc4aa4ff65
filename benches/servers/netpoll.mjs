// The subject: the same server on this package.

import { createServer, lengthField } from '../../dist/index.mjs'
import { announce, echoHandler, obeyStandardInput, readArguments } from './control.mjs'

const { endpoint, hold, onConnect } = readArguments()
const options = { framing: lengthField({ size: 4 }) }

const server = createServer(
  onConnect ? { ...options, onConnect() {} } : options,
  hold === undefined ? async (request) => request : echoHandler(hold),
)

await server.listen(endpoint)
announce(server.address())
obeyStandardInput(() => {
  // Not every version of the package has it.
  const { stats } = /** @type {{ stats?: () => object }} */ (server)
  return stats === undefined ? {} : { stats: stats.call(server) }
})
