builtins.toFile "name" "${derivation { name = "d"; system = "s"; builder = "b"; }}"
