// What servers and clients of the question about clusters have in common: ten servers of one process, and their ports.

import { parseArgs } from 'node:util'

export const SERVERS = 10

/** Tells the runner where clients may connect. @param {readonly number[]} ports */
export function announceAll(ports) {
  console.log(`listening 127.0.0.1:${ports.join()}`)
}

/** @returns {{ ports: readonly number[], seconds: number, api: string }} */
export function readArguments() {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '' },
      seconds: { type: 'string', default: '2' },
      api: { type: 'string', default: 'cluster' },
    },
  })
  return { ports: values.port.split(',').map(Number), seconds: Number(values.seconds), api: values.api }
}
