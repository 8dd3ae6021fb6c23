# Every package of this directory by its name: packages/<name>/package.nix is a function of what it
# needs from the set. There is no list to keep.
{ callPackage }:
let
  entries = builtins.readDir ./.;
  isPackage = name: entries.${name} == "directory" && builtins.pathExists (./. + "/${name}/package.nix");
in
builtins.listToAttrs (map
  (name: { inherit name; value = callPackage (./. + "/${name}/package.nix") { }; })
  (builtins.filter isPackage (builtins.attrNames entries)))
