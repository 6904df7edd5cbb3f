"""Say which cells of a photo argue for which species: maps, their contrast, and comparisons kept in a study."""
