"""How alerts get to people: who got what, the relay to Alertmanager, the direct way past it, what was not delivered."""
