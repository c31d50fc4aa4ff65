/** Numbers that stand for types in messages of Thrift (its specification: `thrift-binary-protocol.md`). */
export const Type = {
  Stop: 0,
  Bool: 2,
  Byte: 3,
  Double: 4,
  I16: 6,
  I32: 8,
  I64: 10,
  String: 11,
  Struct: 12,
  Map: 13,
  Set: 14,
  List: 15,
  Uuid: 16,
} as const

/** What a message is. */
export const MessageType = { Call: 1, Reply: 2, Exception: 3, Oneway: 4 } as const

/** What a `TApplicationException` says went wrong. */
export const ApplicationError = {
  Unknown: 0,
  UnknownMethod: 1,
  InvalidMessageType: 2,
  WrongMethodName: 3,
  MissingResult: 5,
  InternalError: 6,
  ProtocolError: 7,
  InvalidTransform: 8,
  InvalidProtocol: 9,
} as const

/** What a `TProtocolException` says is wrong with the bytes. */
export const ProtocolError = {
  InvalidData: 1,
  NegativeSize: 2,
  SizeLimit: 3,
  BadVersion: 4,
  DepthLimit: 6,
} as const

/** How deep structs may lie in each other. */
export const depthLimit = 64
