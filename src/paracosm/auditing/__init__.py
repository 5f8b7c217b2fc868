"""From real episodes, a learned world and a policy to a diagnosis of the gap."""
