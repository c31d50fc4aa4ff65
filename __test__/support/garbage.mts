import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')

/** Collects garbage, in a process that was started without a flag for it. */
export const collect = runInNewContext('gc') as () => void
