"""Tables for people and for other programs: data frames, COCO, masks."""
