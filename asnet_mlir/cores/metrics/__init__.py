"""A core's errors."""
