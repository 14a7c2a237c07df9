"""What callers pass beside the model: pictures and what is known of them, in one grammar."""
