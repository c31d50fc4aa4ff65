import { createRequire } from 'node:module'

/** Functions by which a program has something called later. */
export const timerNames = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
] as const

/** Never calls anybody: as fake timers do whose clock no test puts forward. */
export function fakes(): Record<(typeof timerNames)[number] | 'queueMicrotask' | 'nextTick', () => number> {
  const fake = (): number => 0
  const names = [...timerNames, 'queueMicrotask', 'nextTick'] as const
  return Object.fromEntries(names.map((name) => [name, fake])) as ReturnType<typeof fakes>
}

type Members = Record<string, unknown>

/** Puts fakes in the place of everything that sinon replaces in this realm, and leaves there what it leaves. */
export function installAsSinon(ticks: 'with ticks' | 'without ticks'): void {
  const require = createRequire(import.meta.url)
  const modules = [require('node:timers') as Members, globalThis as unknown as Members]
  const clock: Members = {}
  const replace = (owner: Members, name: string): void => {
    clock[`_${name}`] ??= owner[name]
    owner[name] = Object.assign((): number => 0, { clock })
  }
  for (const owner of modules) for (const name of timerNames) replace(owner, name)
  const later = require('node:timers/promises') as Members
  for (const name of ['setTimeout', 'setImmediate']) later[name] = () => new Promise(() => {})
  const { performance } = require('node:perf_hooks') as { performance: object }
  Object.defineProperty(performance, 'now', { value: () => 0, configurable: true, writable: true })
  if (ticks === 'without ticks') return
  replace(process as unknown as Members, 'nextTick')
  replace(globalThis as unknown as Members, 'queueMicrotask')
}
