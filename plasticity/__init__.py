"""Plasticity rules: one rule a file."""
