"""Scripts that train, verify and plan; the modules they share. The only folder that knows flags."""
