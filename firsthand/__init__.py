"""The one top-level package that is installed. What is in it stands in the folders beside this one."""
