import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'

import { agentOver, clientProgram, request } from '../support/http.mjs'
import { securities } from '../transports.mjs'

export default {
  title: '`node:http`, `node:https` (agent)',
  securities,

  prepare: (context) =>
    clientProgram(context, {
      open: () => agentOver(context.transport),
      ask: async (agent, url, body) => buffer(await request(url, agent, body)),
      async begin(agent, url) {
        const response = await request(url, agent)
        await once(response, 'data')
        return { ended: once(response, 'end') }
      },
      close: (agent) => agent.destroy(),
    }),
}
