"""Appointments beyond one page: the calendar of a person, and what is found about slots and windows that come."""
