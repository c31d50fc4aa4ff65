// A process that does nothing: where its loop stands still, the whole machine does.

import { obey } from './child.mjs'

obey({})
