/** The only importer of the native binding. It is loaded when it is first needed, so that importing works anywhere. */
import type * as Binding from '../binding/index.js'

import { NetpollError, systemError } from './errors'
import { shortageOf, thisHost, whyNotLoaded } from './host'

export type {
  ChunkStats,
  ConnectionDealer,
  ConnectionSettings,
  EventLoop as NativeEventLoop,
  FramingOptions as NativeFraming,
  IdFieldOptions as NativeIdField,
  ListenPlace,
  Memory as NativeMemory,
  NativeId,
  Outcome,
  SettingsOptions as NativeSettings,
  SharedListener,
  SocketAddress,
  WorkDesk as NativeWorkDesk,
  WorkPool as NativeWorkPool,
} from '../binding/index.js'
export type NativeBinding = typeof Binding

let binding: NativeBinding | undefined

/**
 * The native binding.
 *
 * @throws NetpollError `ERR_UNSUPPORTED`, saying what would have to be there; the system's code, such as `EMFILE`, where it
 * could not be opened just now
 */
export function nativeBinding(): NativeBinding {
  try {
    binding ??= require('../binding/index.js') as NativeBinding
    return binding
  } catch (cause) {
    const errno = shortageOf(cause)
    if (errno !== undefined) throw systemError(errno, 'dlopen', {}, cause)
    throw new NetpollError('ERR_UNSUPPORTED', whyNotLoaded(cause, thisHost()), { cause })
  }
}
