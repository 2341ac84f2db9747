"""One file for each claim in the README."""
