"""Verilog as text."""
