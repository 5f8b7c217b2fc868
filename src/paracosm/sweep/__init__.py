"""Many jobs, without JAX: cells named by content, a store that survives a kill, processes, Ray."""
