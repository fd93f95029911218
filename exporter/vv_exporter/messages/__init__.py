"""What people are told, before it is known by which channel: the message, the webhook's event, mail."""
