"""Many jobs: cells named by content, a store that survives a kill, local processes, Ray; needs no
JAX.
"""
