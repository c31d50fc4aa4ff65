/** Apache Thrift's library for Node.js, which has no types of its own: `library.ts` says what is used of it. */
declare module 'thrift' {
  export const Thrift: unknown
  export const Int64: unknown
}
