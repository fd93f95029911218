"""What a pipeline script imports; importing it costs the standard library only."""

__version__ = "0.1.0"
