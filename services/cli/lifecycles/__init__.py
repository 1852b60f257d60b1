"""`jornada lifecycle` and `jornada explain`: working on a lifecycle before and while it runs."""
