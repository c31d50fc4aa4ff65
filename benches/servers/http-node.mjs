// The peer of HTTP: Node's server as it is, over `node:net`.

import { announce, obeyStandardInput, readArguments } from './control.mjs'
import { createHttpServer } from './http-service.mjs'

const { endpoint } = readArguments()

const server = createHttpServer()
server.listen(endpoint, () => announce(server.address()))
obeyStandardInput()
