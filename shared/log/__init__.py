"""A partitioned, replayable log with keys, headers, arrival times and ownership of partitions: one port, two logs."""
