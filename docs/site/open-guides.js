// The guides are what most come for: their part of the navigation is open until somebody closes it.
for (const group of ['Guides', 'Reference']) {
  const key = `tsd-accordion-${group}`
  if (localStorage.getItem(key) === null) localStorage.setItem(key, 'true')
}
