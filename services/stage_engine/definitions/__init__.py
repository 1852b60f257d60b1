"""From YAML files to checked, compiled, registered lifecycles."""
