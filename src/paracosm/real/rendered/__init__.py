"""Environments whose pictures are drawn by arithmetic, without a display.

No JAX in here: worker processes import them.
"""
