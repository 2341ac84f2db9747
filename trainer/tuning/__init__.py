"""The search for better settings: trainings with other values, each judged by the validation window."""
