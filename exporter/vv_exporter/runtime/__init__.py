"""What long-running programs are made of: threads and loops that survive, signals, systemd."""
