// Servers of Node.js over node:net, in processes of their own, so that they can be killed.

import { fileURLToPath } from 'node:url'

import { freePort, startProgram } from './process.mjs'

const serverPath = fileURLToPath(new URL('node-server.mjs', import.meta.url))

/** @param {'http' | 'http2' | 'ws' | 'socket.io' | 'smtp'} kind */
export async function startNodeServer(kind, isSecure) {
  const port = await freePort()
  const args = [serverPath, kind, isSecure ? 'tls' : 'plain', String(port)]
  return { port, ...(await startProgram(process.execPath, args, { port })) }
}
