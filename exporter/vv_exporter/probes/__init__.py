"""What the exporter asks of the world in the background: each probe has its own thread and keeps its last answer."""
