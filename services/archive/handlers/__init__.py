"""The use cases of archive, one function each."""
