"""From a finding to somebody who acts: alerts and their states, leases, deliveries, and the outbox that sends them."""
