"""From a learned world to a policy: REINFORCE on imagined rollouts; never imports the real
environments.
"""
