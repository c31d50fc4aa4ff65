// grpc-js, and its echo, whose messages are bytes: nothing is encoded but the frames of gRPC.

/** By a name that no type checker follows: it is installed beside the peers, where `npm run bench:full` finds it. */
const place = '../peers/node_modules/@grpc/grpc-js/build/src/index.js'

export const grpc = (await import(place)).default

/** @param {Buffer} bytes */
const asItIs = (bytes) => bytes

export const service = {
  Echo: {
    path: '/bench.Echo/Echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  },
}
