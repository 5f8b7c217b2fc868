"""From measurements to decisions: numbers in, numbers out; needs no JAX."""
