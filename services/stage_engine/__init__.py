"""Consumes events, applies declared transition rules, publishes stage changes: the only writer of stages."""
