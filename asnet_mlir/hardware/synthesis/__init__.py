"""Bundles and cores through synthesis."""
