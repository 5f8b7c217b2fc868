"""The experiments of the paper, ours beside theirs: one readable file each."""
