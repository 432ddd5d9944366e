"""Facts: stored and read, nothing else. Check-ins, courses, infusions, therapy sessions, and their times."""
