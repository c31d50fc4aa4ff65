// Loaded first, makes a program believe that it runs where there is no add-on for it.

Object.defineProperty(process, 'platform', { value: 'win32' })
