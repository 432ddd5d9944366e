"""What the staff's pages show: caseload, inbox, a client's page, and the sentences they are told in."""
