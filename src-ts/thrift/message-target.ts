import type { MessageWriter, Writer } from '../index'

/** What messages are written to: memory that is copied, or that which is sent from. */
export type MessageTarget = Writer | MessageWriter
