"""From a file's own columns to the canonical ones: which is which, and of what type."""
