// What drivers that speak HTTP share.

import * as http from 'node:http'
import * as https from 'node:https'
import { connect as connectTls } from 'node:tls'
import { buffer } from 'node:stream/consumers'

import { certificate, key } from '../certificate.mjs'
import { startNodeServer } from '../services/node.mjs'
import { firstOf } from '../trials.mjs'

export const originOf = ({ isSecure }, port) => `${isSecure ? 'https' : 'http'}://localhost:${port}`

/** An agent of Node.js whose sockets are `transport`'s. */
export function agentOver(transport) {
  const { Agent } = transport.isSecure ? https : http
  const options = { keepAlive: true, ca: certificate }
  if (transport.name === 'net') return new Agent(options)
  const agent = new Agent(options)
  agent.createConnection = ({ port }, callback) => {
    const dialed = transport.addsTls ? transport.dial({ port }) : transport.connect({ port })
    dialed.then(
      (socket) =>
        callback(
          null,
          transport.addsTls ? connectTls({ socket, ca: certificate, servername: 'localhost' }) : socket,
        ),
      callback,
    )
  }
  return agent
}

/** One request by Node's own client; the response has come, and its body has not. */
export async function request(url, agent, body) {
  const module = url.startsWith('https') ? https : http
  const sent = module.request(url, { agent, method: body === undefined ? 'GET' : 'POST', ca: certificate })
  sent.end(body)
  return new Promise((resolve, reject) => sent.once('response', resolve).once('error', reject))
}

/** The program of a client, for a server of HTTP that is killed. */
export async function clientProgram({ transport, use }, { open, ask, begin, close }) {
  const server = await use(await startNodeServer('http', transport.isSecure))
  const origin = originOf(transport, server.port)
  return {
    open: () => open(origin),
    work: async (client) => String(await ask(client, `${origin}/work`)),
    echo: (client, bytes) => ask(client, `${origin}/echo`, bytes),
    begin: (client) => begin(client, `${origin}/hang`),
    close,
    kill: server.kill,
  }
}

/**
 * The program of a server. `create(options, hung)` makes one of Node's with `/work`, `/echo` and `/hang`, and calls
 * `hung` with each response that it has only begun.
 */
export async function serverProgram({ transport }, create) {
  const closed = []
  const options = transport.addsTls ? { key, cert: certificate } : undefined
  const server = await create(options, (response) => closed.push(firstOf(response, 'close')))
  const errors = []
  server.on('clientError', (error, socket) => {
    errors.push(error.code)
    socket.destroy()
  })
  const served = await transport.serve(server)
  const origin = originOf(transport, served.port)
  const agents = new Set()
  return {
    async open() {
      const agent = new (transport.isSecure ? https : http).Agent({ keepAlive: true, ca: certificate })
      agents.add(agent)
      return agent
    },
    work: async (agent) => String(await buffer(await request(`${origin}/work`, agent))),
    echo: async (agent, bytes) => buffer(await request(`${origin}/echo`, agent, bytes)),
    async begin(agent) {
      const response = await request(`${origin}/hang`, agent)
      response.on('error', () => {})
      await firstOf(response, 'data')
      return { ended: closed.at(-1) }
    },
    close: async (agent) => agent.destroy(),
    kill: () => {
      for (const agent of agents) agent.destroy()
    },
    async end() {
      for (const agent of agents) agent.destroy()
      await served.close()
      if (errors.length > 0) throw new Error(`clientError ${[...new Set(errors)].sort()}`)
    },
  }
}
