// A registry of npm packages on loopback, which knows no other: nothing but what is published to it can be installed.

import { spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { mkdirSync, writeFileSync } from 'node:fs'

const config = `
storage: ./storage
uplinks: {}
packages:
  '**':
    access: $all
    publish: $all
max_body_size: 100mb
log: { type: stdout, format: json, level: warn }
`

async function freePort() {
  const server = createServer()
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/**
 * Starts one that keeps its packages in `folder`.
 *
 * @param {{ folder: string, node: string, verdaccio: string }} where `node` must be Node.js 22 or newer
 */
export async function startRegistry({ folder, node, verdaccio }) {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'config.yaml'), config)
  const address = `127.0.0.1:${await freePort()}`
  const child = spawn(node, [verdaccio, '--config', 'config.yaml', '--listen', `http://${address}`], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      printed += text
    })
  }
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const stop = async () => {
    child.kill()
    await ended
  }
  const url = `http://${address}/`
  const deadline = AbortSignal.timeout(60_000)
  for (;;) {
    if (child.exitCode !== null || deadline.aborted) {
      await stop()
      throw new Error(`the registry does not start:\n${printed}`)
    }
    const answer = await fetch(`${url}-/ping`).catch(() => undefined)
    if (answer?.ok) return { url, address, stop }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
