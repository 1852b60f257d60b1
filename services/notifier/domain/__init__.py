"""Pure decisions of the notifier: no IO, no clock, no randomness; both are arguments."""
