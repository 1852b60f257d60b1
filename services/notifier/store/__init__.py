"""The notifier's tables and every statement on them. Callers open the transactions."""
