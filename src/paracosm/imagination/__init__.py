"""From a learned world to a policy: REINFORCE and pathwise gradients on imagined rollouts, and
planners that search at every step; never imports the real environments.
"""
