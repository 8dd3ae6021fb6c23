# What few programs use.
with builtins;
let
  drv = derivation { name = "d"; system = "s"; builder = "b"; };
in
[
  (break 1)
  (traceVerbose "not shown" 2)
  (warn "shown" 3)
  (toPath "/a/../b")
  (derivationStrict { name = "d"; system = "s"; builder = "b"; }).out
  (addDrvOutputDependencies (unsafeDiscardOutputDependency drv.drvPath) == drv.drvPath)
  (path { path = ./files; name = "named"; filter = path: type: baseNameOf path == "text.txt"; })
  (path { path = ./files/text.txt; recursive = false; })
  (filterSource (path: type: type == "regular") ./files)
  "${./files/text.txt}"
]
