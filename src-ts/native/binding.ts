/** The only importer of the native binding. It is loaded when it is first needed, so that importing works anywhere. */
import type * as Binding from '../../binding/index.js'

import { NetpollError, systemError } from '../errors'
import { addonCandidates, shortageOf, thisHost, whyNotLoaded } from './platform'
import { requireHere } from './own-file'

export type {
  ChunkStats,
  ConnectionBalancer,
  ConnectionSettings,
  EventLoop as NativePoller,
  FramingOptions as NativeFraming,
  IdFieldOptions as NativeIdField,
  ListenPlace,
  Memory as NativeMemory,
  NativeId,
  Outcome,
  SettingsOptions as NativeSettings,
  SecureContext,
  ServerSecureContext,
  SharedListener as NativeSharedListener,
  SocketAddress,
  TlsAgreement,
  TlsSettings,
  WorkerQueue as NativeWorkerQueue,
  WorkPool as NativeWorkPool,
} from '../../binding/index.js'
export type NativeBinding = typeof Binding

/** An add-on that was loaded, and its file. */
interface Addon {
  readonly path: string
  readonly binding: NativeBinding
}

let addon: Addon | undefined

/** The one that {@link useAddon} has named. */
let named: string | undefined

/** From now on the add-on is that file, and no other is looked for. */
export function useAddon(path: string): void {
  named = path
}

/**
 * The native binding.
 *
 * @throws NetpollError `ERR_UNSUPPORTED`, saying what would have to be there; the system's code, such as `EMFILE`, where it
 * could not be opened just now
 */
export function nativeBinding(): NativeBinding {
  addon ??= loadAddon()
  return addon.binding
}

/**
 * The file of the native binding.
 *
 * @throws as {@link nativeBinding}
 */
export function addonPath(): string {
  addon ??= loadAddon()
  return addon.path
}

function loadAddon(): Addon {
  const host = thisHost()
  const failures: unknown[] = []
  for (const candidate of named === undefined ? addonCandidates(host) : [named]) {
    try {
      const path = requireHere.resolve(candidate)
      return { path, binding: requireHere(path) as NativeBinding }
    } catch (error) {
      failures.push(error)
    }
  }
  const cause = failures.length === 1 ? failures[0] : new AggregateError(failures, 'No add-on can be loaded')
  const errno = shortageOf(failures)
  if (errno !== undefined) throw systemError(errno, 'dlopen', {}, cause)
  throw new NetpollError('ERR_UNSUPPORTED', whyNotLoaded(failures, host), { cause })
}
