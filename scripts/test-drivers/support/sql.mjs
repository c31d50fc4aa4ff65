/** Waits until a query that sleeps is under way; `count()` says how many are. */
export async function untilSleeping(count) {
  while ((await count()) === 0) await new Promise((resolve) => setTimeout(resolve, 20))
}
