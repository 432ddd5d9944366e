"""The crash test: a deployment is killed again and again while phones send and mail servers refuse; nothing is lost.

`python -m tests.crash --kills 200 --seed 1` (`make crash-test`). `house` runs and kills the three processes, `phones`
send and remember what was acknowledged, `trouble` is what mail and webhooks meet, `verdict` looks at what is left.
"""
