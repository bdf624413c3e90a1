"""A segmentation network of seven head and neck organs, trained on OpenKBP (CARD.md)."""
