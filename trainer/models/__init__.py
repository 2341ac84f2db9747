"""Whole models made of towers and tasks."""
