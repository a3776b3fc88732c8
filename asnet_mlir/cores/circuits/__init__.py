# SPDX-License-Identifier: Apache-2.0
"""Circuits as graphs: and-inverter graphs, lookup tables, terms."""
