import { constants } from 'node:os'

import { isBundled, ownFile } from './own-file'
import { version } from './version'

/** Which hosts there are add-ons for, where theirs may lie, and what to say where it could not be loaded. */

/** What decides which add-on is loaded. */
export interface Host {
  readonly platform: string
  readonly arch: string
  readonly isMusl: boolean
  /** `NAPI_RS_NATIVE_LIBRARY_PATH`: an add-on that the user names. */
  readonly addonPath: string | undefined
  /** The bundle that the package runs in; `undefined` where it is installed. */
  readonly bundle: string | undefined
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
    isMusl: platform === 'linux' && !ifAllowed(hasGlibc, true),
    addonPath: ifAllowed(() => process.env['NAPI_RS_NATIVE_LIBRARY_PATH'], undefined),
    bundle: isBundled ? ownFile : undefined,
  }
}

/** What `ask` finds out, or `otherwise` where the host refuses: Deno does to code that lacks a right, and to load takes others. */
function ifAllowed<T>(ask: () => T, otherwise: T): T {
  try {
    return ask()
  } catch {
    return otherwise
  }
}

/** Where the add-on of a host may lie, the first that is there counts: as `require` of this package finds it. */
export function addonCandidates(host: Host): readonly string[] {
  if (host.addonPath) return [host.addonPath]
  const name = addonName(host)
  if (!addonPlatforms.includes(name)) return []
  const file = `netpoll.${name}.node`
  // Of a checkout, beside a bundle, of an installed package.
  return host.bundle === undefined
    ? [`../../binding/${file}`, `netpoll-${name}`]
    : [`./${file}`, `netpoll-${name}`]
}

/** One sentence that says what is wrong, and what to do, where each of the candidates failed to load. */
export function whyNotLoaded(failures: readonly unknown[], host: Host): string {
  const failure = failures.find((error) => !isMissing(error))
  if (host.addonPath) {
    const reason = failure === undefined ? host.addonPath : messageOf(failure)
    return `The add-on that NAPI_RS_NATIVE_LIBRARY_PATH names cannot be loaded: ${reason}`
  }
  if (failure !== undefined) return `The add-on of netpoll cannot be loaded: ${messageOf(failure)}`
  const name = addonName(host)
  if (!addonPlatforms.includes(name)) {
    return `netpoll runs on Linux and macOS, each on x64 and arm64, and not on ${host.platform} ${host.arch}`
  }
  if (host.bundle !== undefined) {
    return (
      `The add-on of netpoll is neither netpoll.${name}.node beside the bundle ${host.bundle}, nor is the package ` +
      `netpoll-${name} installed there: copy one of them, or run npm install netpoll-${name}@${version}`
    )
  }
  return (
    `The package netpoll-${name} is not installed, as npm leaves it out with --omit=optional or where ` +
    'package-lock.json comes from another platform: remove node_modules and package-lock.json and run ' +
    `npm install again, or run npm install netpoll-${name}@${version}`
  )
}

function addonName({ platform, arch, isMusl }: Host): string {
  const libc = platform === 'linux' ? (isMusl ? '-musl' : '-gnu') : ''
  return `${platform}-${arch}${libc}`
}

/** Whether there is no such file or package, which each loader puts into words of its own. */
function isMissing(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'MODULE_NOT_FOUND' || code === 'ERR_MODULE_NOT_FOUND'
}

/** What the system calls a shortage, in the errors that Node.js and the dynamic linker make of it. */
const shortages: readonly (readonly [errno: number, code: string, text: RegExp])[] = [
  [constants.errno.ENFILE, 'ENFILE', /Too many open files in system/],
  [constants.errno.EMFILE, 'EMFILE', /Too many open files/],
  [constants.errno.ENOMEM, 'ENOMEM', /Cannot allocate memory|failed to map segment/],
]

/** The system's error number, where an add-on failed to load for what the system lacks now and may have later. */
export function shortageOf(failures: readonly unknown[]): number | undefined {
  for (const error of failures) {
    // The dynamic linker has no codes.
    const found = shortages.find(([, name, text]) => codeOf(error) === name || text.test(messageOf(error)))
    if (found !== undefined) return found[0]
  }
  return undefined
}

function codeOf(error: unknown): unknown {
  return (error as { readonly code?: unknown } | undefined | null)?.code
}

function messageOf(error: unknown): string {
  const message = (error as { readonly message?: unknown } | undefined | null)?.message
  return typeof message === 'string' ? message : String(error)
}

/** The report of a process names the glibc it runs on. Hosts other than Node.js may have no reports. */
function hasGlibc(): boolean {
  const report: unknown = (process as Partial<NodeJS.Process>).report?.getReport()
  const { header } = (report ?? {}) as { readonly header?: { readonly glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime !== undefined
}
