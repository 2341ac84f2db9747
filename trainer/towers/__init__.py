"""The query tower and the item tower."""
