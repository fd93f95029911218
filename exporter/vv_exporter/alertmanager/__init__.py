"""Alertmanager as this product speaks to it: its API, alerts in its terms, silences."""
