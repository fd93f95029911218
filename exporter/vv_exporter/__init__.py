"""The exporter, its collectors, the relay, the local stack and the command line ``vv``."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> str:
    """The version of the installed package, looked up when it is asked for: that takes longer than `vv heartbeat`."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("vv-exporter")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+unknown"
