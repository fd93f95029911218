"""The exporter, its collectors, the relay, the local stack and the command line ``vv``."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("vv-exporter")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0+unknown"
