"""What a pipeline script imports; importing it costs the standard library only."""
