"""HTTP as all services speak it: problem details, bounded bodies, health, and the server of a process."""
