// Messages with an id of four bytes, one of which asks their receiver to leave.

export const id = { offset: 0, size: 4 } as const

/** Id 0, which no call has. */
export const leave = Buffer.from('\0\0\0\0leave')
export const isGoAway = (message: Buffer): boolean => message.equals(leave)

let lastId = 0

/** A request with an id that no other has. */
export function request(text: string): Buffer {
  lastId += 1
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(lastId)
  return Buffer.concat([bytes, Buffer.from(text)])
}

export const textOf = (message: Buffer): string => message.toString('utf8', 4)
