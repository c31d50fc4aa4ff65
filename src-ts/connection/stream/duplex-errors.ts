import { constants } from 'node:os'

import { errorOfStream, NetpollError, systemError } from '../../errors'

/** The connection is gone. */
export function brokenPipe(): NetpollError {
  return errorOfStream(systemError(constants.errno.EPIPE, 'write'))
}

/** The stream was destroyed. */
export function canceled(): NetpollError {
  return errorOfStream(systemError(constants.errno.ECANCELED, 'write'))
}

/** The peer has ended, and we with it. Libraries look for this code, and for the words of Node.js. */
export function endedByPeer(): NetpollError {
  return errorOfStream(new NetpollError('EPIPE', 'This socket has been ended by the other party'))
}
