"""Make a study from photos, let it grow, and resume what was interrupted; on one machine or many."""
