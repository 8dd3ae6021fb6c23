builtins.fromJSON "\"\n\""
