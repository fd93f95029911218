"""From the files that scripts write to series and documents: see docs/journal.md for the format.

`events` decodes lines, `folds` says what each event changes, `files` knows names and
locks, `reader` ties them together.
"""
