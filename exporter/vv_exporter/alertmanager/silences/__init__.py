"""Silences of Alertmanager: what they match, how they are made and ended, and that the timeline tells of them."""
