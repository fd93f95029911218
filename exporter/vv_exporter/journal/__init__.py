"""From the files that scripts write to series and documents: see docs/journal.md for the format.

`reader` goes on round by round: `plan` looks at the folder (`folder`, `files`: names and locks), `batch` reads, and
`counting` counts. `events` decodes lines, `folds` says what each event changes, `status` shows how far it is.
"""
