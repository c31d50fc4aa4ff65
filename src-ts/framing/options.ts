/** Options of `lengthField`, in the vocabulary of Netty's `LengthFieldBasedFrameDecoder`. */
export interface LengthFieldOptions {
  /** Bytes of the length field. */
  readonly size: 1 | 2 | 3 | 4 | 8
  /** Bytes before the field. Default 0. */
  readonly offset?: number | undefined
  /**
   * Added to the field's value to get the number of bytes that follow the field. Default 0; a length
   * that counts its own four bytes has an adjustment of −4.
   */
  readonly adjustment?: number | undefined
  /**
   * Bytes at the front of a frame that are no part of the message. Default: up to the field's end.
   * The stripped bytes are put before replies again: the length, and zeros around it. With 0 the handler
   * gets whole frames and replies with whole frames.
   */
  readonly strip?: number | undefined
  /** Byte order of the field. Default `'big'`. */
  readonly endian?: 'big' | 'little' | undefined
  /** Most bytes that may follow the field. Default 16 MiB. */
  readonly maxLength?: number | undefined
}

/** Options of `delimiter` and `varint`. */
export interface MaxLengthOptions {
  /** Most bytes of a message, without delimiter or length. Default 16 MiB. */
  readonly maxLength?: number | undefined
}
