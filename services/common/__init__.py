"""What the services share: settings, logs, request ids, pools and registration."""
