"""`python -m vv_exporter` is `vv`."""

from vv_exporter.cli import main

main()
