/** Whether memory of messages is overwritten as soon as it is free, and no reader is used twice: see `docs/guides/memory.md`. */
export const testsCursors = isSet('NETPOLL_TEST_CURSORS')

/** Deno refuses to tell code that lacks the right. */
function isSet(name: string): boolean {
  try {
    const value = process.env[name]
    return value !== undefined && value !== '' && value !== '0'
  } catch {
    return false
  }
}
