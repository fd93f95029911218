"""What every room may use and that knows of none: times, files and texts that others wrote, schedules."""
