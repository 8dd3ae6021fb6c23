# Literals, relative to this file, normalised.
let
  name = "inner";
  show = path: { type = builtins.typeOf path; text = toString path; };
in
[
  (show ./a)
  (show ./a/../b/./c)
  (show ./q/../x)
  (show a/b)
  (show /a/b/../c)
  (show ./${name}/x)
  (show (./. + "/y"))
  (show (./a + "b"))
  (show ./${name}.nix)
  (./a == ./b/../a)
  (builtins.typeOf <nix/fetchurl.nix>)
]
