// The forms of a handler of this package that are measured beside each other, and the one place where a new form is
// added: servers, scenarios, goals and charts take the forms from here.

import { ordinaryHandler, respond, respondByCursor, respondInBuffer } from './handler.mjs'

/**
 * @typedef {import('netpoll').FramedServerOptions} FramedOptions
 *
 * @typedef {object} Form
 * @property {string} label
 * @property {string} about How its replies are made.
 * @property {Reply} reply What the load client expects.
 * @property {(createServer: typeof import('netpoll').createServer, options: FramedOptions,
 *   task: import('./handler.mjs').Task) => import('netpoll').Server} serve
 */

/** The first is the handler that a newcomer writes. */
export const FORMS = {
  netpoll: form({
    label: 'netpoll',
    about: 'async function, a new `Buffer` for each reply',
    reply: 'inverted',
    serve: (createServer, options, task) => createServer(options, ordinaryHandler(task)),
  }),
  netpollAllocate: form({
    label: 'netpoll, allocate',
    about: 'async function, replies in memory of `connection.allocate`',
    reply: 'inverted',
    serve: (createServer, options) =>
      createServer(options, async (request, connection) =>
        respond(request, connection.allocate(request.length)),
      ),
  }),
  netpollSync: form({
    label: 'netpoll, no promise',
    about: 'function that returns its reply, a new `Buffer`, and no promise',
    reply: 'inverted',
    serve: (createServer, options) => createServer(options, (request) => respondInBuffer(request)),
  }),
  netpollByReference: form({
    label: 'netpoll, by reference',
    about: 'async function that returns the request itself',
    reply: 'echo',
    serve: (createServer, options) => createServer(options, async (request) => request),
  }),
  netpollOnMessage: form({
    label: 'netpoll, onMessage',
    about: '`onMessage`: no view, no `Buffer` and no promise, replies written straight into outgoing memory',
    reply: 'inverted',
    serve: (createServer, options) => createServer({ ...options, onMessage: respondByCursor }),
  }),
}

/** @param {Form} form */
function form(form) {
  return form
}
