"""What learns: encoders, towers, tasks, models, their export and their evaluation."""
