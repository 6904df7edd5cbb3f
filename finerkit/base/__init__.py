"""Names, checks, geometry and text that every room uses. It imports no other room."""
