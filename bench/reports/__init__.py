"""The reports: tables, pictures, targets, and the machine that the figures were measured on."""
