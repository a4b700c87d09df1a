"""The proof that a file equals the original: its answers to held-out pictures, its speed, its certificate."""
