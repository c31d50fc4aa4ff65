// Calls by a `Pool` or a `Mux`, and each call with a timeout of its own.

import { netpoll } from '../servers/package.mjs'
import { readArguments, runCallers } from './load.mjs'

const { lengthField, Mux, Pool } = netpoll
const settings = readArguments()
const { endpoint, connections, callers, timeout, sharing } = settings
const framing = lengthField({ size: 4 })
// Connections beyond those that callers use stay idle.
const minIdle = Math.max(0, connections - callers)
const client =
  sharing === 'mux'
    ? new Mux(endpoint, { framing, connections })
    : new Pool(endpoint, { framing, connections, minIdle })

await runCallers(settings, (request) => client.call(request, { timeout }))
await client.close()
