"""The demo: a story of some customers, told over real HTTP, watched, shown, and checked against what must come of it."""
