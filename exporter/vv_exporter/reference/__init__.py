"""The pages of docs/ that are written from code and rules: `python -m vv_exporter.reference.pages`."""
