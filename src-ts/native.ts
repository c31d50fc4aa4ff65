/** The only importer of the native binding. */
import {
  ConnectionDealer,
  ConnectionSettings,
  EventLoop as NativeEventLoop,
  Memory as NativeMemory,
  SharedListener,
  WorkDesk as NativeWorkDesk,
  WorkPool as NativeWorkPool,
} from '../binding/index.js'

export type {
  ChunkStats,
  FramingOptions as NativeFraming,
  IdFieldOptions as NativeIdField,
  ListenPlace,
  NativeId,
  Outcome,
  SettingsOptions as NativeSettings,
  SocketAddress,
} from '../binding/index.js'
export {
  ConnectionDealer,
  ConnectionSettings,
  NativeEventLoop,
  NativeMemory,
  NativeWorkDesk,
  NativeWorkPool,
  SharedListener,
}
