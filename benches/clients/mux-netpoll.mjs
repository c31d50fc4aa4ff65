// Calls by a `Mux`: few connections, many callers, and each call with a timeout of its own.

import { lengthField, Mux } from 'netpoll'
import { readArguments, runCallers } from './load.mjs'

const settings = readArguments()
const { endpoint, connections, timeout } = settings
const mux = new Mux(endpoint, { framing: lengthField({ size: 4 }), connections })

await runCallers(settings, (request) => mux.call(request, { timeout }))
await mux.close()
