"""Containers of the Docker Engine: what was observed, what it means, and who looks.

`observed` decodes what the Engine says, `ledger` turns that into exact counts, `expectation` says which containers
should be running (all pure); `engine` talks to the Engine, and `watch` connects the four.
"""
