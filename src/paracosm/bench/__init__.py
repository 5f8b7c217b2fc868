"""Learners on the tasks of a suite, beside what others have: runs, peers, statistics."""
