"""The direct way to people, past Alertmanager: for when it is down, for what it could not tell, and for tests.

`message` is what is told, `providers/` has a file for each channel, `outbox` keeps messages until they are sent.
"""
