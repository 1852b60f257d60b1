"""Kills processes and servers at work, then checks that nothing was lost and nothing was done twice: `make faults`."""
