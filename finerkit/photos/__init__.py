"""Find photos and their tables, decode them, and bring them into the shape a network takes."""
