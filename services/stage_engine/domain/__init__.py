"""The pure core: no IO, no clock, no randomness. `advance` is what simulation, tests and production all call."""
