"""`jornada doctor`: what is configured, what answers, what to do."""
