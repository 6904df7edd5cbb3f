"""Keep a study on a disk or in a bucket: layout, opening, locking, checks. Readers see what was committed alone."""
