import { type InspectOptions, inspect } from 'node:util'

/** By this method `util.inspect` shows an object, also that of another realm. */
export const inspectCustom: unique symbol = Symbol.for('nodejs.util.inspect.custom')

/** What `util.inspect` passes on: the options of its caller, and how text is coloured. */
export type Inspection = InspectOptions & {
  readonly stylize?: ((text: string, style: 'special') => string) | undefined
}

/** Objects that are being shown: what users keep by a connection may lead back to it. */
const shown = new Set<object>()

/** Levels below an object that are shown where its caller does not say. */
const usualDepth = 2

/**
 * The text of an object of ours: its name, and the members that a person wants to know, those without a value left out.
 *
 * @param depth levels below the object that may still be shown; `null` for all
 */
export function show(
  one: object,
  name: string,
  members: Readonly<Record<string, unknown>>,
  depth: number | null = usualDepth,
  options: Inspection = {},
): string {
  const short = depth !== null && depth < 0 ? `[${name}]` : shown.has(one) ? '[Circular]' : undefined
  if (short !== undefined) return options.stylize?.(short, 'special') ?? short
  shown.add(one)
  try {
    const present = Object.entries(members).filter(([, value]) => value !== undefined)
    return `${name} ${inspect(Object.fromEntries(present), { ...options, depth })}`
  } finally {
    shown.delete(one)
  }
}

/** What `ask` returns; `undefined` where it throws, as where a poller has gone. */
export function known<T>(ask: () => T): T | undefined {
  try {
    return ask()
  } catch {
    return undefined
  }
}
