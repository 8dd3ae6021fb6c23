builtins.path { path = ./files; unknown = 1; }
