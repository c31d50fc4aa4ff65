import { readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { compileFunction, createContext, runInContext } from 'node:vm'

/** The package, as a program of another realm sees it. */
export type Netpoll = typeof import('../../dist/index.mjs')

const entry = fileURLToPath(new URL('../../dist/index.js', import.meta.url))

/** What test runners give to their realms. The rest is of the engine, and of that realm. */
const given = { Buffer, process, console, URL, AbortController, AbortSignal }

/** In the run with TLS, what sees to it that each copy of the package encrypts: see `over-tls`. */
const loadedSymbol = Symbol.for('netpoll.test.loaded')
const loaded = (globalThis as Readonly<Record<symbol, unknown>>)[loadedSymbol] as
  | ((module: { exports: unknown }, path: string, require: (name: string) => unknown) => void)
  | undefined

/** A realm of its own, with a copy of the package in it. */
export interface Realm {
  readonly netpoll: Netpoll
  /** Runs a script there. */
  run(script: string): unknown
}

/**
 * Loads the package into a realm as jest does: its modules see the globals of that realm, and the modules of Node.js are those
 * of everybody. `globals` are there before it is loaded; `process` among them is also what `node:process` gives.
 */
export function openRealm(globals: Readonly<Record<string, unknown>> = {}): Realm {
  const all = { ...given, ...globals }
  const context = createContext({ ...all })
  const modules = new Map<string, { exports: unknown }>()
  const load = (path: string): unknown => {
    const known = modules.get(path)
    if (known !== undefined) return known.exports
    const { resolve } = createRequire(path)
    const require = (name: string): unknown => {
      if (/^(node:)?process$/.test(name)) return all.process
      if (isBuiltin(name) || name.endsWith('.node')) return createRequire(path)(name)
      return load(resolve(name))
    }
    const module = { exports: {} as unknown }
    modules.set(path, module)
    const source = readFileSync(path, 'utf8')
    if (path.endsWith('.json')) {
      module.exports = JSON.parse(source)
    } else {
      const names = ['exports', 'require', 'module', '__filename', '__dirname']
      const run = compileFunction(source, names, { parsingContext: context, filename: path })
      run.call(
        module.exports,
        module.exports,
        Object.assign(require, { resolve }),
        module,
        path,
        dirname(path),
      )
      loaded?.(module, path, require)
    }
    return module.exports
  }
  return { netpoll: load(entry) as Netpoll, run: (script) => runInContext(script, context) }
}
