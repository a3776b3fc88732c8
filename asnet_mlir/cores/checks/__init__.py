"""Whether a core keeps its contract."""
