"""The self-monitor: restarts containers that failed, and gives up on those that keep failing.

`selection` says which containers are its business, `policy` what to do with one (both pure), `state` what it remembers,
`actions` asks the Engine, `loop` ties them together, and `room` is how `vv containers` talks with it. Which container
runs, and who ended it, it learns as the exporter does, from `vv_exporter.containers`, with a database of its own.
"""
