"""The `jornada` command: composes services into processes, and does what people do by hand. Holds no logic."""
