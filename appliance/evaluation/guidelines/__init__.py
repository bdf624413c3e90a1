"""Guideline packages: signed, versioned folders of clinical goals and the passages they come from."""
