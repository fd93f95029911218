"""The self-monitor: restarts containers that failed, and gives up on those that keep failing.

`selection` says which containers are its business, `policy` what to do with one (both pure). `loop` makes the rounds
over all containers. `restarts` does what is to be done about one: `state` and `histories` are its memory, `programs`
looks for what must run in it, `actions` asks the Engine. `publish` shows and reports how they stand, and `mailbox` is
how `vv containers` talks with it. Which container runs, and who ended it, it learns as the exporter does, from
`vv_exporter.containers`, with a database of its own.
"""
