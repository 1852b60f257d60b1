"""Who may call what: API keys of tenants, with scopes. The tenant of a request comes from its key alone."""
