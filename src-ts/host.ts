import { constants } from 'node:os'

/** Which hosts there are add-ons for, and what to say where the add-on could not be loaded. */

/** What decides which add-on is loaded. */
export interface Host {
  readonly platform: string
  readonly arch: string
  readonly isMusl: boolean
  /** `NAPI_RS_NATIVE_LIBRARY_PATH`: an add-on that the user names. */
  readonly addonPath: string | undefined
  /** Version of this package, which its add-ons share; `undefined` where its `package.json` cannot be read. */
  readonly version: string | undefined
}

/** Ends of the names of the packages that hold the add-ons. */
export const addonPlatforms: readonly string[] = [
  'linux-x64-gnu',
  'linux-arm64-gnu',
  'linux-x64-musl',
  'linux-arm64-musl',
  'darwin-x64',
  'darwin-arm64',
]

/** Where this process runs. */
export function thisHost(): Host {
  const { platform, arch } = process
  return {
    platform,
    arch,
    isMusl: platform === 'linux' && !hasGlibc(),
    addonPath: process.env['NAPI_RS_NATIVE_LIBRARY_PATH'],
    version: packageVersion(),
  }
}

/** One sentence that says what is wrong, and what to do, for an add-on that failed to load with `error`. */
export function whyNotLoaded(error: unknown, { platform, arch, isMusl, addonPath, version }: Host): string {
  const [first, ...others] = messagesOf(error)
  const failure = others.find((message) => !/^Cannot find (module|package)/.test(message))
  if (addonPath) {
    return `The add-on that NAPI_RS_NATIVE_LIBRARY_PATH names cannot be loaded: ${failure ?? addonPath}`
  }
  if (failure !== undefined) return `The add-on of netpoll cannot be loaded: ${failure}`
  const libc = platform === 'linux' ? (isMusl ? '-musl' : '-gnu') : ''
  const addon = `${platform}-${arch}${libc}`
  if (!addonPlatforms.includes(addon)) {
    return `netpoll runs on Linux and macOS, each on x64 and arm64, and not on ${platform} ${arch}`
  }
  if (others.length === 0) return `The add-on of netpoll cannot be loaded: ${first}`
  return (
    `The package netpoll-${addon} is not installed, as npm leaves it out with --omit=optional or where ` +
    'package-lock.json comes from another platform: remove node_modules and package-lock.json and run ' +
    `npm install again, or run npm install netpoll-${addon}${version === undefined ? '' : `@${version}`}`
  )
}

/** What the system calls a shortage, in the errors that Node.js and the dynamic linker make of it. */
const shortages: readonly (readonly [errno: number, code: string, text: RegExp])[] = [
  [constants.errno.ENFILE, 'ENFILE', /Too many open files in system/],
  [constants.errno.EMFILE, 'EMFILE', /Too many open files/],
  [constants.errno.ENOMEM, 'ENOMEM', /Cannot allocate memory|failed to map segment/],
]

/** The system's error number, where an add-on failed to load for what the system lacks now and may have later. */
export function shortageOf(error: unknown): number | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const found = shortages.find(([, name, text]) => code === name || text.test(message))
    if (found !== undefined) return found[0]
  }
  return undefined
}

function packageVersion(): string | undefined {
  try {
    return (require('../package.json') as { readonly version: string }).version
  } catch {
    return undefined
  }
}

/** The messages of an error and its causes, the oldest cause last. */
function messagesOf(error: unknown): readonly string[] {
  const messages: string[] = []
  for (let cause = error; cause instanceof Error; cause = cause.cause) messages.push(cause.message)
  return messages
}

/** The report of a process names the glibc it runs on. Hosts other than Node.js may have no reports. */
function hasGlibc(): boolean {
  const report: unknown = (process as Partial<NodeJS.Process>).report?.getReport()
  const { header } = (report ?? {}) as { readonly header?: { readonly glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime !== undefined
}
