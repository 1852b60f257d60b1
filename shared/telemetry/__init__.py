"""What a running process tells about itself: logs, metrics and traces. No payload ever appears in any of them."""
