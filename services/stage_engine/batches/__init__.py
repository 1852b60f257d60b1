"""From records to one transaction: `reading` makes events of them, `deciding` folds them over states, `writing` says what
is to be stored, and `batch` puts these together, so that all of it happens once or not at all."""
