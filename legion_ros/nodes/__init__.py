"""One module a node; each is thin: parameters, topics and one call into a plain object."""
