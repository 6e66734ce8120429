"""What rows must be like to be loaded: rules with their own models, and the step that holds rows to them."""
