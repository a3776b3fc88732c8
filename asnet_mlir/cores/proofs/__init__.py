"""Proofs about cores."""
