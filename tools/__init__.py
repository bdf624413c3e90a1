"""Checks of this repository, run by ./build.sh test; no part of the product."""
