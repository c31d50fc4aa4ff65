// Calls by a `Pool`, and each call with a timeout of its own.

import { netpoll } from '../servers/package.mjs'
import { readArguments, runCallers } from './load.mjs'

const { lengthField, Pool } = netpoll
const settings = readArguments()
const { endpoint, connections, callers, timeout } = settings
// Connections beyond those that callers use stay idle.
const minIdle = Math.max(0, connections - callers)
const pool = new Pool(endpoint, { framing: lengthField({ size: 4 }), connections, minIdle })

await runCallers(settings, (request) => pool.call(request, { timeout }))
await pool.close()
