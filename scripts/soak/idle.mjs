// A process without work.

import { obey } from './child.mjs'

obey({})
