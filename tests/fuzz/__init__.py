"""Fuzzing: whatever is written into the journal, a folder, the store, a socket or the settings stops nothing else.

`targets/` has a file for each way in, `corpus/` what it begins with, `mutators` what is done to that, `engine` the
loop. See docs/fuzzing.md.
"""
