"""How a new version of a lifecycle reaches every customer, while everything runs.

`publishing` stores it and tells every partition by a `control` record; `versions` changes a partition over at that place;
`catching_up` lets each customer meet it, before anything else happens to them.
"""
