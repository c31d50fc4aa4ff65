import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

const dist = fileURLToPath(new URL('../../dist/', import.meta.url))

/** What a module of `dist` requires by literal names. */
export function required(path: string): readonly string[] {
  const source = readFileSync(join(dist, path), 'utf8')
  return [...source.matchAll(/\brequire\(["']([^"']+)["']\)/g)].map(([, name = '']) => name)
}

/** Whether a name is one of Node.js' own modules. */
export function isBuiltin(name: string): boolean {
  return name.startsWith('node:') || builtinModules.includes(name)
}

/** The module of `dist` that a relative name means. */
export function resolved(from: string, name: string): string {
  const path = posix.join(dirname(from), name)
  return path.endsWith('.js') ? path : `${path}.js`
}

/** All modules of `dist` that `entry` needs, itself included. */
function closure(entry: string, found = new Set<string>()): Set<string> {
  if (found.has(entry)) return found
  found.add(entry)
  for (const name of required(entry)) if (!isBuiltin(name)) closure(resolved(entry, name), found)
  return found
}

/** How a bundle is written: ES modules have neither `require` nor `__filename`. */
export type BundleFormat = 'cjs' | 'esm'

/** A program of one file, as bundlers write it: `entry` of `dist` with all that it needs, and `program`, to which it is `entry`. */
export function bundle(entry: string, format: BundleFormat, program = ''): string {
  const modules = [...closure(entry)].map((path) => {
    const source = readFileSync(join(dist, path), 'utf8').replace(/^\/\/# sourceMappingURL.*$/m, '')
    const names = required(path).filter((name) => !isBuiltin(name))
    const paths = Object.fromEntries(names.map((name) => [name, resolved(path, name)]))
    const header = `const require = (name) => load(${JSON.stringify(paths)}[name] ?? name)`
    return `${JSON.stringify(path)}: (exports, module) => {\n${header}\n${source}\n}`
  })
  const imports =
    format === 'esm'
      ? "import { createRequire as builtins } from 'node:module'\nconst system = builtins(import.meta.url)"
      : 'const system = require'
  return `${imports}
const loaded = new Map()
// In the run with TLS, what sees to it that each copy of the package encrypts: see \`over-tls\`.
const tell = globalThis[Symbol.for('netpoll.test.loaded')]
const modules = {\n${modules.join(',\n')}\n}
function load(path) {
  if (modules[path] === undefined) return system(path)
  if (!loaded.has(path)) {
    const module = { exports: {} }
    loaded.set(path, module)
    modules[path](module.exports, module)
    tell?.(module, ${JSON.stringify(dist)} + path, (file) => load(file.slice(${dist.length})))
  }
  return loaded.get(path).exports
}
const entry = load(${JSON.stringify(entry)})
${program}
`
}
