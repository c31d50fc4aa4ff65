/** What the option `bytes` may be. */
export type BytesOption = 'buffer' | 'uint8array'

/** What a message is, by the option `bytes`: either is a view of pooled memory. */
export interface MessageTypes {
  /** The default. */
  readonly buffer: Buffer
  /** Costs less. */
  readonly uint8array: Uint8Array
}
