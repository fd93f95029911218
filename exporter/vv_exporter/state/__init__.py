"""What the exporter remembers: the store, its tables, the timeline, and what is kept of runs, alerts and failures."""
