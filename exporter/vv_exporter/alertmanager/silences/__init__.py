"""Silences of Alertmanager: what they match, how they are made and ended, and how they come onto the timeline."""
