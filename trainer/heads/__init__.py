"""What else is predicted of a customer and an item, beside the purchase: the stars of a rating, and the price."""
