"""Takes events over HTTP, checks them, and answers 202 once the log has them."""
