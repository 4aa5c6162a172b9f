"""The contenders: the shops, servers and databases that are measured, the references beside them, and their rounds."""
