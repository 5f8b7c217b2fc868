"""What every room speaks: MDPs, policies, rollouts, data, records, estimates and input checks."""
