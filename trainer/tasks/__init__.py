"""What the towers are trained for: losses and their corrections."""
