"""What the engine answers over HTTP: who is in which stage, since when, and why."""
