"""Real notifiers on real databases, logs and receivers."""
