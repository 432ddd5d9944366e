"""The clock: what is due, run it, record it. Any number of these processes may run; claims alone make it correct."""
