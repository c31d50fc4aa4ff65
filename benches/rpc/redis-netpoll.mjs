// The tiny Redis of `examples/redis.mjs`, for the runner.

import { fromRoot } from '../runner/paths.mjs'
import { announce, obeyStandardInput } from '../servers/control.mjs'

// By a name that no type checker follows: examples are plain JavaScript.
const { serve } = await import(fromRoot('examples/redis.mjs'))

const server = await serve(0)
announce(server.address())
obeyStandardInput()
