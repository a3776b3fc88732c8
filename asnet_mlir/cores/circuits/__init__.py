"""Circuits as graphs: and-inverter graphs, lookup tables, terms."""
