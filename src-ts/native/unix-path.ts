import { rmSync, statSync, unlinkSync } from 'node:fs'
import { resolve } from 'node:path'

import { invalidValue, NetpollError, systemError } from '../errors'

/** A socket file, known by what cannot be given to another one while it exists. */
export interface SocketFile {
  /** Absolute: the process may change its directory. */
  readonly path: string
  readonly device: number
  readonly inode: number
}

/** Whether a path is a name of Linux's abstract namespace: it begins with a zero byte, and no file has it. */
export function isAbstract(path: string): boolean {
  return path.startsWith('\0') && process.platform === 'linux'
}

/** Bytes of a path that the system takes, with the zero byte that ends or begins it. */
const pathSize = process.platform === 'linux' ? 108 : 104

/** Whether `node:net` fills up abstract names with zero bytes, which are a part of them: as libuv did before its 1.48. */
const fillsNames = fillsAbstractNames(process.versions)

/** Which hosts that are, by their `process.versions`. */
export function fillsAbstractNames({
  uv = '',
  bun,
  deno,
}: Readonly<Record<string, string | undefined>>): boolean {
  const [major, minor] = uv.split('.').map(Number)
  return bun === undefined && deno === undefined && major === 1 && Number(minor) < 48
}

/** A path as the system is to have it, so that users of `node:net` in this version of Node.js meet us there. */
export function systemPath(path: string): string {
  if (!fillsNames || !isAbstract(path)) return path
  return path + '\0'.repeat(pathSize - Buffer.byteLength(path))
}

/** A path of the operating system, as users have given it. */
export function shownPath(path: string): string {
  return fillsNames && isAbstract(path) ? `\0${path.replaceAll(/^\0|\0+$/g, '')}` : path
}

/**
 * Refuses a path whose file this process may not look at (`--permission`), before anything is bound to it.
 *
 * @throws NetpollError `ERR_ACCESS_DENIED`
 */
export function checkSocketRights(path: string): void {
  if (isAbstract(path)) return
  const { permission } = process as { readonly permission?: NodeJS.ProcessPermission }
  if (permission === undefined || permission.has('fs.read', resolve(path))) return
  const message = `listen ERR_ACCESS_DENIED ${path}: its file cannot be looked at without --allow-fs-read`
  throw new NetpollError('ERR_ACCESS_DENIED', message, { syscall: 'listen', address: path })
}

/**
 * Remembers the socket that was just bound to `path`; without a file there is nothing to remember. Where that is impossible,
 * `close` closes it, and its file goes.
 *
 * @throws NetpollError the system's code, or `ERR_ACCESS_DENIED`
 */
export function socketFile(path: string, close: () => void): SocketFile | undefined {
  if (isAbstract(path)) return undefined
  try {
    const file = statSync(path, { throwIfNoEntry: false })
    return file && { path: resolve(path), device: file.dev, inode: file.ino }
  } catch (error) {
    close()
    try {
      rmSync(path, { force: true })
    } catch {
      // For the same reason: the first failure says it.
    }
    throw fileError(error, 'stat', path)
  }
}

/**
 * Removes a socket's file, unless a successor has put its own there.
 *
 * @throws NetpollError the system's code, such as `EACCES` for a process that has given up its rights since it bound.
 * `ERR_ACCESS_DENIED` for a process without the right to write there (`--permission`)
 */
export function removeSocketFile(file: SocketFile): void {
  try {
    const now = statSync(file.path, { throwIfNoEntry: false })
    if (now?.ino === file.inode && now.dev === file.device) unlinkSync(file.path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw fileError(error, 'unlink', file.path)
  }
}

/** A failure of `node:fs` as one of ours: what the system says, or the host itself, which has no number for a right that lacks. */
function fileError(error: unknown, operation: 'stat' | 'unlink', path: string): NetpollError {
  const {
    code = 'ERR_ACCESS_DENIED',
    errno = 0,
    syscall = operation,
    message,
  } = error as NodeJS.ErrnoException
  if (errno < 0) return systemError(-errno, syscall, { address: path })
  const details = { syscall, address: path, cause: error }
  return new NetpollError(code, `${syscall} ${code} ${path}: ${message}`, details)
}

/** Refuses a path that the system would cut off, or read as something else. */
export function checkSocketPath(syscall: 'connect' | 'listen', path: string): void {
  const isName = isAbstract(path)
  if (path.includes('\0') && !isName) {
    const problem =
      process.platform === 'linux'
        ? 'must contain no zero byte but the first'
        : 'must not contain a zero byte'
    throw invalidValue('options.path', problem, path)
  }
  const limit = isName ? pathSize : pathSize - 1
  const enametoolong = process.platform === 'linux' ? 36 : 63
  if (Buffer.byteLength(path) > limit) throw systemError(enametoolong, syscall, { address: path })
}
