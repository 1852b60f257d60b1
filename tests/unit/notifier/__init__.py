"""The notifier's decisions, without servers."""
