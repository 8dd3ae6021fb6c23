# Every derivation of the package set as one flat set: what is built and checked for a release.
#
# Packages bear their own names; the parts of stage 0 begin with stage0-, sources with source-.
{ system ? builtins.currentSystem }@arguments:
let
  packages = import ./. arguments;
  inherit (packages) lib stage0;

  derivations = lib.filterAttrs (_: lib.isDerivation);
  perOutput = name: package:
    builtins.listToAttrs (map
      (output: { name = if output == "out" then name else "${name}-${output}"; value = package.${output}; })
      package.outputs or [ "out" ]);
  allOutputs = set: builtins.foldl' (all: name: all // perOutput name set.${name}) { } (builtins.attrNames set);
in
allOutputs (derivations packages)
// lib.prefixAttrs "stage0-" (allOutputs (derivations stage0))
// builtins.listToAttrs (lib.mapAttrsToList
  # A dot would end the name where an attribute path is expected.
  (name: deb: { name = "source-${builtins.replaceStrings [ "." ] [ "_" ] name}"; value = deb; })
  stage0.debs)
// { source-hello = packages.hello.src; }
