// Figures as people read them.

/** @type {Readonly<Record<Unit, (value: number) => string>>} */
const FORMATS = {
  rate: (value) => whole(value),
  count: (value) => whole(value),
  microseconds: (value) => (value >= 10_000 ? `${significant(value / 1000)} ms` : `${significant(value)} µs`),
  bytes: (value) =>
    value >= 1e6
      ? `${significant(value / 1e6)} MB`
      : value >= 1e3
        ? `${significant(value / 1e3)} kB`
        : `${whole(value)} B`,
  share: (value) => `${Math.round(value * 100)} %`,
  ratio: (value) => value.toFixed(2),
}

/** What is not known is a dash. @param {number | null | undefined} value @param {Unit} unit */
export const format = (value, unit) =>
  value === null || value === undefined || !Number.isFinite(value) ? '–' : FORMATS[unit](value)

/** @param {number} value */
export const whole = (value) => Math.round(value).toLocaleString('en-US')

/** Three digits that mean something. @param {number} value */
const significant = (value) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : whole(value))
