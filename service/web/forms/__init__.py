"""Forms of pages: sent by the page itself, and given back as they were filled in when refused."""
