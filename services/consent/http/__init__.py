"""The doors for people and programs: JSON API and pages, for staff and for families. All call the same use cases."""
