"""The view of the best sellers in SQL. Owns its tables and their stored format; core decides what to keep."""
