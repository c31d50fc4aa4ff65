import { existsSync } from 'node:fs'
import Module, { createRequire } from 'node:module'

import { certificate, key } from '../tls.mjs'
import { currentTest, note } from './record.mjs'

/** How a module loads another: files of the same copy of this package. */
type Require = (file: string) => unknown

/** By this symbol of the global object, who loads modules by other means tells of each. */
const loadedSymbol = Symbol.for('netpoll.test.loaded')

/** Milliseconds that only a hang reaches: thousands of handshakes at once take their time where much else runs. */
const handshakeTimeout = 300_000

type Load = (module: { exports: unknown }, file: string) => void

interface OptionsModule {
  takeOptions(argument: string, options: object, names: object): Record<string, unknown>
}

interface Core {
  readonly context: { run<Result>(work: () => Result): Result }
  readonly socket: { readonly tls: object | undefined }
  readonly life: { readonly isClosing: boolean }
  open(): unknown
}

interface ConnectionModule {
  createConnection(...values: unknown[]): Core
}

/** Has servers and dialers encrypt that are not told otherwise. */
function encrypt(known: OptionsModule, dist: string, require: Require): void {
  const { takeOptions } = known
  known.takeOptions = (argument, options, names) => {
    const taken = takeOptions(argument, options, names)
    const { serverOptionNames } = require(`${dist}/server/options.js`) as {
      readonly serverOptionNames: object
    }
    const { dialerOptionNames } = require(`${dist}/client/options.js`) as {
      readonly dialerOptionNames: object
    }
    if (names === serverOptionNames) taken['tls'] ??= { key, cert: certificate, handshakeTimeout }
    if (names === dialerOptionNames) taken['tls'] ??= { ca: certificate, servername: 'localhost' }
    return taken
  }
}

/** Notes of each connection whose it is, and whether it is encrypted. One beyond `maxConnections` is destroyed before it is. */
function watch(connections: ConnectionModule): void {
  const { createConnection } = connections
  connections.createConnection = (...values) => {
    const core = createConnection(...values)
    const { open } = core
    core.open = () => {
      const test = core.context.run(currentTest)
      if (core.socket.tls !== undefined) note('encrypted', test)
      else queueMicrotask(() => core.life.isClosing || note('plain', test))
      return open.call(core)
    }
    return core
  }
}

/** Has a copy of this package encrypt, where `file` is the one of its files that decides about it. */
function secureModule(module: { exports: unknown }, file: string, require: Require): void {
  const [, dist, name] = /^(.*)\/(checks\/known-options|connection\/connection)\.js$/.exec(file) ?? []
  if (dist === undefined || !existsSync(`${dist}/tls/secure-context.js`)) return
  if (name === 'checks/known-options') encrypt(module.exports as OptionsModule, dist, require)
  else watch(module.exports as ConnectionModule)
}

/** Has each copy of this package that is loaded encrypt, and tell of its connections. */
export function secureConnections(): void {
  const extensions = Module as unknown as { readonly _extensions: Record<string, Load> }
  const load = extensions._extensions['.js'] as Load
  extensions._extensions['.js'] = (module, file) => {
    load(module, file)
    // One that lists no module which it has loaded before, and so keeps none.
    secureModule(module, file, createRequire(import.meta.url))
  }
  Object.assign(globalThis, { [loadedSymbol]: secureModule })
}
