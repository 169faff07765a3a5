"""The `cca` command. Every subcommand is a module; it is imported when it is called."""
