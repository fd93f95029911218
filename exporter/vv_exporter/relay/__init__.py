"""Alerts raised by scripts go to Alertmanager: `payload` says as what, `alertmanager` sends, `worker` sees to it."""
