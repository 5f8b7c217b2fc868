"""Paracosm: train policies in learned world models, and find out what the imagined return is wrong about."""
