# Dependencies carried by strings.
with builtins;
let
  drv = derivation { name = "d"; system = "s"; builder = "b"; };
  text = "see ${drv}";
in
[
  (hasContext text)
  (hasContext "none")
  (attrValues (getContext text))
  (attrValues (getContext drv.drvPath))
  (hasContext (unsafeDiscardStringContext text))
  (attrValues (getContext (unsafeDiscardOutputDependency drv.drvPath)))
  (hasContext (substring 0 0 text))
  (hasContext (toJSON { a = text; }))
  (hasContext (replaceStrings [ "see" ] [ text ] "see"))
  (hasContext (concatStringsSep text [ ]))
  (hasContext (head (split "e" text)))
  (attrValues (getContext (appendContext "x" (getContext text))))
]
