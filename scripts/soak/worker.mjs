// What the workers of a soak run.

import { collectWhenAsked } from './collecting.mjs'
import { action, header } from './messages.mjs'

collectWhenAsked()

export default (request) => {
  if (request.length >= header && request[4] === action.exit) process.exit(0)
  if (request.length < header || request[4] !== action.late) return request
  return new Promise((resolve) => setTimeout(resolve, request.readUInt16BE(6), request))
}
