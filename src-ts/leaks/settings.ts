/** How leaks are looked for: see `docs/guides/leaks.md`. */
export interface LeakSettings {
  /** Milliseconds after which what should be over is reported. */
  readonly age: number
  /** A file that each report is appended to. */
  readonly file: string | undefined
}

/** Milliseconds, where nothing else is asked for. */
const usualAge = 60_000

/** Milliseconds: a timer has to see it several times. */
const leastAge = 100

/** Read once, when this is loaded. `undefined` where leaks are not looked for. */
export const leakSettings: LeakSettings | undefined = read()

function read(): LeakSettings | undefined {
  const level = variable('NETPOLL_LEAK_DETECTION') ?? ''
  if (level === '' || level === '0' || level === 'disabled') return undefined
  if (level !== 'paranoid') {
    process.emitWarning(
      'NETPOLL_LEAK_DETECTION is neither "paranoid" nor "disabled": leaks are not looked for',
    )
    return undefined
  }
  const age = Math.ceil(Number(variable('NETPOLL_LEAK_AGE') ?? usualAge))
  return {
    age: age > 0 && age < 2 ** 31 ? Math.max(leastAge, age) : usualAge,
    file: variable('NETPOLL_LEAK_FILE') || undefined,
  }
}

/** Deno refuses to tell code that lacks the right. */
function variable(name: string): string | undefined {
  try {
    return process.env[name]
  } catch {
    return undefined
  }
}
