"""The demonstration: a fictional clinic, played day by day, and the processes around it."""
