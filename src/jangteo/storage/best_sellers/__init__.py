"""The view of the best sellers in SQL. Owns its tables and their stored formats; core decides what to maintain."""
