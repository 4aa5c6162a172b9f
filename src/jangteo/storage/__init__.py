"""All SQL, and no rules: what is kept, how a batch is loaded and written, and what readers may ask."""
