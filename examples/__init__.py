"""Shops to run: one YAML each, and the demonstration."""
