"""Native code: compiled, kept, loaded, run."""
