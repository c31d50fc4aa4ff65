// How long calls took, in buckets that are 2 % wide.

const BUCKETS_PER_DOUBLING = 32
/** From 1 microsecond to about two minutes. */
const BUCKETS = 27 * BUCKETS_PER_DOUBLING

export class Latencies {
  #buckets = new Float64Array(BUCKETS)
  #sum = 0
  #max = 0
  count = 0

  /** @param {number} milliseconds */
  add(milliseconds) {
    const microseconds = milliseconds * 1000
    const bucket = Math.round(Math.log2(Math.max(1, microseconds)) * BUCKETS_PER_DOUBLING)
    const index = Math.min(bucket, BUCKETS - 1)
    this.#buckets[index] = (this.#buckets[index] ?? 0) + 1
    this.#sum += microseconds
    this.#max = Math.max(this.#max, microseconds)
    this.count += 1
  }

  /** In microseconds. */
  summary() {
    return {
      mean: this.count === 0 ? 0 : this.#sum / this.count,
      p50: this.#quantile(0.5),
      p90: this.#quantile(0.9),
      p99: this.#quantile(0.99),
      p999: this.#quantile(0.999),
      max: this.#max,
    }
  }

  /** @param {number} part */
  #quantile(part) {
    let left = Math.ceil(this.count * part)
    for (const [index, count] of this.#buckets.entries()) {
      left -= count
      if (left <= 0 && count > 0) return Math.min(this.#max, 2 ** (index / BUCKETS_PER_DOUBLING))
    }
    return 0
  }
}
