"""One customer of whom a story is told: `story` reads it, `simulation` lives it by production's `advance`."""
