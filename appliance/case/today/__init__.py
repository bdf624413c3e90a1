"""Today's image beside the reference: whether it may be used, and what dose is computed on."""
