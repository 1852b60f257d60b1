"""The notifier's HTTP routes: one file per thing that people ask about."""
