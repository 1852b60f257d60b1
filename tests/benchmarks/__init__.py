"""`make bench`: speed, memory and CPU per event, measured on real servers in one run and printed as one table."""
