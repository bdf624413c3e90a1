"""Policies that steer a planning episode: a file each. What the others are compared with, and what the product plans by
where the learned one may not: `docs/planner.md`."""
