"""Verilog as netlists."""
