"""One replica looked at closely: limits, log, requests, links and the policy that concerns it."""
