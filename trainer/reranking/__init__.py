"""The cross-encoder: reads what was typed and an item together, and so orders the best items of a search anew."""
