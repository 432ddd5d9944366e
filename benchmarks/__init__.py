"""What `make bench` runs: the figures of docs/benchmarks.md, measured beside their peers in one run."""
