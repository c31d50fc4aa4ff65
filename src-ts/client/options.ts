import type { BytesOption, MessageTypes } from '../memory/message-types'
import type { ConnectionOptions, MessageOptions, StreamOptions } from '../connection/option-types'
import type { DialSettings } from './dial-options'
import { optionNames } from '../checks/known-options'
import { sharedNames } from '../connection/options'
import type { ClientTlsOptions } from '../tls/options'

/** Options of dialers, whatever is exchanged. */
export interface ConnectOptions<Data = unknown, Bytes extends BytesOption = 'buffer'>
  extends ConnectionOptions<Data, Bytes>,
    DialSettings {
  /** Milliseconds until a `call` without a timeout of its own is given up; 0, the default, for never. */
  readonly requestTimeout?: number | undefined
  /** Encrypts every connection; `true` with the defaults. The handshake counts within `connectTimeout`. Default: none is. */
  readonly tls?: ClientTlsOptions | true | undefined
}

/** Options of a dialer with a framing. */
export interface FramedDialerOptions<Data = unknown, Bytes extends BytesOption = 'buffer'>
  extends ConnectOptions<Data, Bytes>,
    MessageOptions<Data, Bytes> {
  /**
   * Whether a message that answers no call says that its connection is to be used no more, as a server's `goAway` does.
   * Then no call begins on it, and it closes once those that wait have ended. Needs `id`. Default: no message does.
   */
  readonly isGoAway?: ((message: MessageTypes[Bytes]) => boolean) | undefined
}

/** Options of a dialer without a framing. */
export interface StreamDialerOptions<Data = unknown, Bytes extends BytesOption = 'buffer'>
  extends ConnectOptions<Data, Bytes>,
    StreamOptions<Data, Bytes> {
  /** Of messages alone. */
  readonly isGoAway?: undefined
}

/** Options of `new Dialer`. */
export type DialerOptions<Data = unknown, Bytes extends BytesOption = 'buffer'> =
  | FramedDialerOptions<Data, Bytes>
  | StreamDialerOptions<Data, Bytes>

/** Of `new Dialer`. */
export const dialerOptionNames = optionNames<DialerOptions>({
  ...sharedNames,
  isGoAway: true,
  requestTimeout: true,
  connectTimeout: true,
  connectionAttemptDelay: true,
  lookup: true,
  localAddress: true,
  localPort: true,
  tls: true,
})
