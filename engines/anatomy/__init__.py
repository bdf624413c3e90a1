"""What a set of masks on one grid looks like, as plain numbers."""
