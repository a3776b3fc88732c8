"""Bundles in simulation."""
