"""From data to a learned world: networks, supervised fits, one part at a time."""
