"""One house rule a file; each has `check(root, report)`."""
