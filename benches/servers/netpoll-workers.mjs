// The same server with its handler in worker threads, as many as there are cores unless told.

import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { netpoll } from './package.mjs'

/** Requests that a worker handles at once. One that computes gains nothing from more. */
const TOGETHER = 64

const { endpoint, tls, task, threads } = readArguments()

const server = netpoll.createServer({
  framing: netpoll.lengthField({ size: 4 }),
  ...(tls === undefined ? {} : { tls }),
  workers: {
    module: new URL('worker-handler.mjs', import.meta.url),
    concurrentTasksPerWorker: task.work > 0 ? 1 : TOGETHER,
    workerData: task,
    ...(threads === undefined ? {} : { threads }),
  },
})

await server.listen(endpoint)
announce(server.address())
obeyStandardInput()
