"""What a served model is asked and answers, beside what it was trained on: `aisle monitor`."""
