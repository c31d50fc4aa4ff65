// The same server with its handler in worker threads, as many as there are cores.

import { createServer, lengthField } from 'netpoll'
import { announce, obeyStandardInput, readArguments } from './control.mjs'

/** Requests that a worker handles at once. One that computes gains nothing from more. */
const TOGETHER = 64

const { endpoint, task } = readArguments()

const server = createServer({
  framing: lengthField({ size: 4 }),
  workers: {
    module: new URL('worker-handler.mjs', import.meta.url),
    concurrentTasksPerWorker: task.work > 0 ? 1 : TOGETHER,
    workerData: task,
  },
})

await server.listen(endpoint)
announce(server.address())
obeyStandardInput()
