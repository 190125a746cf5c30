"""Ways to neuromorphic hardware: quantisation, constraints of targets, and exports."""
