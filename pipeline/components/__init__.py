"""aisle's own TFX components, one a file."""
