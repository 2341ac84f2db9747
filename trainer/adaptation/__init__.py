"""The text encoder learns the shop's language from pairs of its own texts, before the towers learn."""
