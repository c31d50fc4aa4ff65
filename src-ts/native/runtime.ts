/** Which runtime this is. Each names itself in `process.versions`, and all of them say that they are Node.js. */

/** Whether it is Bun, which aborts the process at the first function of libuv that it lacks. */
export const isBun = process.versions['bun'] !== undefined

/** Whether it is Node.js itself, whose inner workings are known. */
export const isNode = !isBun && process.versions['deno'] === undefined
