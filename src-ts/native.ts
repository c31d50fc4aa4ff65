/** The only importer of the native binding. */
import { ConnectionSettings, EventLoop as NativeEventLoop } from '../binding/index.js'

export type {
  ChunkStats,
  FramingOptions as NativeFraming,
  ListenPlace,
  NativeId,
  Outcome,
  SettingsOptions as NativeSettings,
  SocketAddress,
} from '../binding/index.js'
export { ConnectionSettings, NativeEventLoop }
