"""Availability by case, tutors' calendars, times offered, meetings, and how a family wants to be reached about them."""
