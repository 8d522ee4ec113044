"""Follow one request over every link that it crosses."""
