// Calls by a `Mux`: few connections, many callers, and each call with a timeout of its own.

import { netpoll } from '../servers/package.mjs'
import { readArguments, runCallers } from './load.mjs'

const { lengthField, Mux } = netpoll
const settings = readArguments()
const { endpoint, connections, timeout } = settings
const mux = new Mux(endpoint, { framing: lengthField({ size: 4 }), connections })

await runCallers(settings, (request) => mux.call(request, { timeout }))
await mux.close()
