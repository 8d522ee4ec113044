"""From capture files to a report of traffic by service."""
