"""Lipschitz constants of learned parts as brackets: networks read layer by layer, bounds from above
and below.
"""
