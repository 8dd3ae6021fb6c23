with builtins;
[
  (readFile ./files/text.txt)
  (readDir ./files)
  (readFileType ./files/text.txt)
  (readFileType ./files)
  (pathExists ./files/text.txt)
  (pathExists ./files/missing)
  (pathExists (toString ./files/text.txt + "/"))
  (import ./files/function.nix 1)
  (import ./files)
  (scopedImport { x = 42; } ./files/scoped.nix)
  (getEnv "A_VARIABLE_THAT_NOBODY_SETS")
  (toString (findFile [ { prefix = "p"; path = ./files; } ] "p/text.txt") == toString ./files/text.txt)
]
