/** Begins `query`, which sleeps, and waits until it is under way; `count()` says how many are. */
export async function beginSleeping(query, count) {
  const ended = query()
  ended.catch(() => {})
  while ((await count()) === 0) await new Promise((resolve) => setTimeout(resolve, 20))
  return { ended }
}

/** Asks PostgreSQL for TLS, as a client does that speaks its protocol. */
export async function requestTls({ reader, writer }) {
  writer.writeUint(8, 4)
  writer.writeUint(80_877_103, 4)
  await writer.flush()
  await reader.fill(1)
  const answer = reader.readString(1)
  if (answer !== 'S') throw new Error(`PostgreSQL answers ${answer} to SSLRequest`)
}

/** Finds queries of PostgreSQL that sleep. */
export const sleepingInPostgres =
  "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep%' AND wait_event = 'PgSleep'"

/** Finds queries of MariaDB that sleep. */
export const sleepingInMariadb =
  "SELECT 1 FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP%'"
