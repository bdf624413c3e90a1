"""The learned policy of the virtual planner: its network, how it learns, and what it learned from."""
