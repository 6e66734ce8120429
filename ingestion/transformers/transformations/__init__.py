"""What `transformations` can do, one model per kind; each makes the steps that do it."""
