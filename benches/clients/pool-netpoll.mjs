// Calls by a `Pool`: as many connections as callers, and each call with a timeout of its own.

import { lengthField, Pool } from 'netpoll'
import { readArguments, runCallers } from './load.mjs'

const settings = readArguments(100)
const { endpoint, connections, timeout } = settings
const pool = new Pool(endpoint, { framing: lengthField({ size: 4 }), connections })

await runCallers(settings, (request) => pool.call(request, { timeout }))
await pool.close()
