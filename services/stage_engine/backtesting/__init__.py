"""Real history under two sets of rules: the active one and one that is tried. Nothing is written.

`lives` lets one customer live, `counting` and `parting` add up what came of it, `findings` holds the sums of both sides,
and `backtest` goes over the customers of a database. Only aggregates are kept, so memory does not grow with the number of
customers.
"""
