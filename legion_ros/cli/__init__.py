"""The `legion` command: one module a subcommand, loaded only when it is the one."""
