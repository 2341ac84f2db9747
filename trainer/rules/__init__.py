"""What a request may ask of an answer beyond the best fit: filters, boosts, diversity; and what stands in for a fit."""
