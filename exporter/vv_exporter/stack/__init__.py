"""The local stack: fetch real servers, verify them, run them. `fetch`, `tools`, `apt` and `progress` need
the standard library only, so that they can run before anything is installed."""
