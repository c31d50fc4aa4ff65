// The handler under test, as a worker thread loads it.

import { workerData } from 'node:worker_threads'

import { ordinaryHandler } from './handler.mjs'

export default ordinaryHandler(workerData)
