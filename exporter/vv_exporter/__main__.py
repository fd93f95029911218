"""`python -m vv_exporter` is `vv`."""

from vv_exporter.entry import main

main()
