"""A file a dashboard."""
