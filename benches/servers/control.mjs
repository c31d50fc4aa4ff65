// What every benchmark server shares: its arguments, and how the runner talks to it over the standard
// streams.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'

/** @typedef {{ host: string, port: number } | { path: string }} Endpoint */

/**
 * @typedef {object} Arguments
 * @property {Endpoint} endpoint Where to listen.
 * @property {{ key: string, cert: string } | undefined} tls What connections are encrypted with, if they are.
 * @property {FormName} form Of the handler.
 * @property {import('./handler.mjs').Task} task What is done with each request.
 * @property {boolean} corked Whether the replies of a turn of the event loop leave together.
 * @property {boolean} onConnect Whether to set an `onConnect` hook.
 * @property {boolean} contexts Whether each request enters an asynchronous context of its own.
 * @property {boolean} timers Whether every time limit is set, and many calls wait under one.
 * @property {number} pollers Threads of the core's own.
 * @property {number | undefined} threads Worker threads.
 * @property {'netpoll' | 'net'} over Whose connections carry streams.
 */

/** @returns {Arguments} */
export function readArguments() {
  const { values } = parseArgs({
    options: {
      tcp: { type: 'string' },
      unix: { type: 'string' },
      tls: { type: 'boolean', default: false },
      form: { type: 'string', default: 'netpoll' },
      hold: { type: 'string' },
      work: { type: 'string', default: '0' },
      corked: { type: 'boolean', default: false },
      'on-connect': { type: 'boolean', default: false },
      contexts: { type: 'boolean', default: false },
      timers: { type: 'boolean', default: false },
      pollers: { type: 'string', default: '0' },
      threads: { type: 'string' },
      over: { type: 'string', default: 'net' },
    },
  })
  return {
    endpoint: readEndpoint(values.tcp, values.unix),
    tls: values.tls ? { key: readPem('key'), cert: readPem('certificate') } : undefined,
    form: /** @type {FormName} */ (values.form),
    task: { hold: optional(values.hold), work: Number(values.work) },
    corked: values.corked,
    onConnect: values['on-connect'],
    contexts: values.contexts,
    timers: values.timers,
    pollers: Number(values.pollers),
    threads: optional(values.threads),
    over: values.over === 'netpoll' ? 'netpoll' : 'net',
  }
}

/** What all servers show: P-256, signed by itself. @param {'key' | 'certificate'} name */
const readPem = (name) => readFileSync(new URL(`../certificate/${name}.pem`, import.meta.url), 'utf8')

/** @param {string | undefined} text */
const optional = (text) => (text === undefined ? undefined : Number(text))

/** @param {string | undefined} tcp @param {string | undefined} unix @returns {Endpoint} */
export function readEndpoint(tcp, unix) {
  if (unix !== undefined) return { path: unix }
  const match = /^\[?(.+?)\]?:(\d+)$/.exec(tcp ?? '')
  if (match?.[1] === undefined) throw new Error('expected --tcp HOST:PORT or --unix PATH')
  return { host: match[1], port: Number(match[2]) }
}

/** Says that clients may connect. @param {string | import('node:net').AddressInfo | null} address */
export function announce(address) {
  const text =
    address !== null && typeof address === 'object'
      ? `${address.address.includes(':') ? `[${address.address}]` : address.address}:${address.port}`
      : address
  console.log(`listening ${text}`)
}

/**
 * Obeys the runner: the line `gc` collects garbage and prints `memory {...}`; the end of the standard
 * input ends the process.
 *
 * @param {() => object} [statistics] More to print beside the memory.
 */
export function obeyStandardInput(statistics = () => ({})) {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', async (line) => {
    if (line !== 'gc') return
    if (globalThis.gc === undefined) throw new Error('`gc` needs node --expose-gc')
    // Finalizers run in turns of the event loop and make more garbage: twice.
    for (let pass = 0; pass < 2; pass += 1) {
      globalThis.gc()
      await setTimeout(20)
    }
    console.log(`memory ${JSON.stringify({ ...process.memoryUsage(), ...statistics() })}`)
  })
  lines.on('close', () => process.exit(0))
}
