"""Reservoir computing: builders, encoders, readouts, measures and tasks."""
