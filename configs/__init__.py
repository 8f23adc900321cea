"""Named configurations, as TOML files."""
