"""The whole job: stages, rounds, purchases, the run directory, resume."""
