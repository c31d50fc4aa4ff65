import { leakSettings } from './settings'

/** Frames of this package, of which there may be ten, and some of its user. */
const maxFrames = 24

const frame = /^ {4}at .*$/gm

/** What the frames of this package have in common; `undefined` in a bundle. */
const ownFolder = leakSettings && /([^\s()]*)leaks[\\/]origin\.\w+:\d/.exec(framesOf()[0] ?? '')?.[1]

/**
 * The frames of the user's code that runs, as text: frames that V8 keeps otherwise refer to the objects whose methods they are.
 * Where that is none, `caller` has those of the call that it is a part of, and `owner` those of its server or dialer. Where
 * there are neither, all frames.
 */
export function originOf(owner?: string, caller?: string): string {
  const all = framesOf()
  const others = ownFolder === undefined ? all : all.filter((each) => !each.includes(ownFolder))
  const users = others.filter((each) => !each.endsWith('(<anonymous>)'))
  if (users.some((each) => !each.includes('node:'))) return users.join('\n')
  if (caller) return caller
  return owner ? `${ownersHead}\n${owner}` : all.join('\n')
}

/** Stands before the frames of a server or dialer, where nothing more is known. */
export const ownersHead = '  Its server or dialer was made here:'

/** As {@link originOf}, with the frames of this package: of what users do not ask for themselves. */
export function ownOriginOf(): string {
  const all = framesOf()
  return (ownFolder === undefined ? all : all.filter((each) => !each.includes(`${ownFolder}leaks`))).join(
    '\n',
  )
}

/** Empty where users make stacks of their own. */
function framesOf(): string[] {
  const { stackTraceLimit } = Error
  try {
    Reflect.set(Error, 'stackTraceLimit', maxFrames)
    // A user's `prepareStackTrace` gets it, and may read every member of an error.
    const { stack } = new Error() as { readonly stack?: unknown }
    return typeof stack === 'string' ? (stack.match(frame) ?? []) : []
  } catch {
    // A user's `prepareStackTrace` has thrown.
    return []
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  }
}
