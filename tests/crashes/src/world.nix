# Layers of six folders; number N of a layer uses two of the layer below.
{ salt }:
let
  make = layer: n: derivation {
    name = "l${toString layer}-${toString n}";
    system = builtins.currentSystem;
    builder = "/bin/bash";
    inputs = if layer == 0 then [ (builtins.toFile "seed" "${toString n} ${salt}") ]
      else [ (make (layer - 1) n) (make (layer - 1) (if n == 5 then 0 else n + 1)) ];
    args = [ "-c" ''
      PATH=/usr/bin:/bin
      mkdir -p $out/bin $out/share
      for x in 1 2 3 4 5 6 7 8; do echo "$inputs"; done > $out/share/text-${toString layer}-${toString n}
      for x in {1..2000}; do echo "the same for all"; done > $out/share/same-${toString layer}-${toString n}
      echo "#! /bin/sh" > $out/bin/tool-${toString layer}-${toString n}
      chmod +x $out/bin/tool-${toString layer}-${toString n}
      ln -s ../share $out/bin/share-${toString layer}-${toString n}
    '' ];
  };
in
{
  inherit make;
  packages = builtins.listToAttrs (map (n: { name = "x${toString n}"; value = make 1 n; }) [ 0 1 2 3 4 5 ]);
}
