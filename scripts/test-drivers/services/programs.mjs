import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

/** Debian keeps the programs of each version of PostgreSQL in a folder of their own. */
function folders() {
  const postgres = '/usr/lib/postgresql'
  const versions = existsSync(postgres) ? readdirSync(postgres).map((one) => join(postgres, one, 'bin')) : []
  const rabbit = '/usr/lib/rabbitmq/bin'
  return [rabbit, ...versions, ...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/usr/local/sbin']
}

/** Where a program is installed, if it is. */
export function programPath(name) {
  return folders()
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path))
}
