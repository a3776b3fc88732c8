"""What every floor uses and that knows nothing of networks: errors, cache, files, processes."""
