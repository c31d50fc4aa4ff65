// TLS for a server whose own TLS its drivers put on their streams themselves, as such a server has it behind a proxy.

import { fileURLToPath } from 'node:url'

import { freePort, startProgram } from './process.mjs'

const serverPath = fileURLToPath(new URL('terminator-server.mjs', import.meta.url))

/** `server` with `securePort`: TLS from the first byte, as long as the server lives. */
export async function startTerminator(server) {
  const securePort = await freePort()
  const args = [serverPath, String(securePort), String(server.port)]
  const terminator = await startProgram(process.execPath, args, { port: securePort }).catch((error) => {
    server.kill()
    throw error
  })
  return {
    port: server.port,
    securePort,
    groups: [...server.groups, ...terminator.groups],
    kill() {
      terminator.kill()
      server.kill()
    },
  }
}
