"""What scripts report by `vv alert`, `vv heartbeat` and `vv cron`: nothing here imports more than it needs."""
