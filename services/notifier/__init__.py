"""The notifier: hears of stage changes, plans campaigns and webhooks, sends each once it may, and says what became of it.

`planning` turns records into planned deliveries in one transaction; `dispatch` claims what is due, sends outside any
transaction and records; `relay` publishes outcomes. Everything decided is decided in `domain`, which does no IO.
"""
