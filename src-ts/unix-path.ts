import { statSync, unlinkSync } from 'node:fs'
import { resolve } from 'node:path'

import { invalidValue, systemError } from './errors'

/** A socket file, known by what cannot be given to another one while it exists. */
export interface SocketFile {
  /** Absolute: the process may change its directory. */
  readonly path: string
  readonly device: number
  readonly inode: number
}

/** Remembers the socket that was just bound to `path`. */
export function socketFile(path: string): SocketFile | undefined {
  const file = statSync(path, { throwIfNoEntry: false })
  return file && { path: resolve(path), device: file.dev, inode: file.ino }
}

/**
 * Removes a socket's file, unless a successor has put its own there.
 *
 * @throws NetpollError the system's code, such as `EACCES` for a process that has given up its rights since it bound
 */
export function removeSocketFile(file: SocketFile): void {
  try {
    const now = statSync(file.path, { throwIfNoEntry: false })
    if (now?.ino === file.inode && now.dev === file.device) unlinkSync(file.path)
  } catch (error) {
    const { code, errno = 0, syscall = 'unlink' } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return
    throw systemError(-errno, syscall, { address: file.path })
  }
}

/** Refuses a path that the system would cut off, or read as something else. */
export function checkSocketPath(syscall: 'connect' | 'listen', path: string): void {
  if (path.includes('\0')) throw invalidValue('options.path', 'must not contain a zero byte', path)
  const limit = process.platform === 'linux' ? 107 : 103
  const enametoolong = process.platform === 'linux' ? 36 : 63
  if (Buffer.byteLength(path) > limit) throw systemError(enametoolong, syscall, { address: path })
}
