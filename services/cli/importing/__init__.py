"""`jornada import`: rows of a file → mapped events → checked → ordered by time → posted to ingest as backfill."""
