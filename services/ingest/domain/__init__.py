"""From the bytes of a request to events that are accepted or refused, each with why. Pure."""
