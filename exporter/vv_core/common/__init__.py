"""What the SDK and the exporter both build on: files, names, texts, units, the environment, the journal's writer."""
