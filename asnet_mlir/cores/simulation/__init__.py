"""Cores in simulators."""
