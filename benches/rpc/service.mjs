// What both sides of the Thrift echo have in common: the generated code, and the arguments.

import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'

const require = createRequire(import.meta.url)
// By a name that no type checker follows: generated code is not checked.
const generated = './gen-nodejs'

/**
 * @typedef {{ action: string, msg: string }} Texts
 * @typedef {{ Echo(request: Texts): Promise<Texts> }} EchoClient
 * @typedef {{ transport: 'framed' | 'ttheader', port: number, sharing: 'pool' | 'mux', seconds: number }} Arguments
 */

/** The service that the compiler has generated. */
export const EchoServer = /** @type {import('../../dist/thrift/index.mjs').ThriftService<EchoClient>} */ (
  require(`${generated}/EchoServer.js`)
)

/** @type {{ Request: new (texts: Texts) => Texts, Response: new (texts: Texts) => Texts }} */
export const { Request, Response } = require(`${generated}/echo_types.js`)

/** Answers with the same texts. */
export const handler = {
  /** @param {Texts} request */
  Echo: async ({ action, msg }) => new Response({ action, msg }),
}

/** Callers that wait for a reply at any time. */
export const CALLERS = 100
/** Connections that they share as a mux. */
export const MUX_CONNECTIONS = 4

/** @returns {Arguments} */
export function readArguments() {
  const { values } = parseArgs({
    options: {
      transport: { type: 'string', default: 'framed' },
      port: { type: 'string', default: '0' },
      sharing: { type: 'string', default: 'pool' },
      seconds: { type: 'string', default: '2' },
    },
  })
  return {
    transport: values.transport === 'ttheader' ? 'ttheader' : 'framed',
    port: Number(values.port),
    sharing: values.sharing === 'mux' ? 'mux' : 'pool',
    seconds: Number(values.seconds),
  }
}
