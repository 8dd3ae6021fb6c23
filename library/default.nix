# The package set.
#
#   import ./library { }                      the packages for this machine
#   import ./library { overlays = [ ... ]; }  the same with changes: final: previous: { ... }
#
# One fixed point: packages see one another's final form, so that an overlay reaches all users of
# what it changes.
{ system ? builtins.currentSystem
  # Another system to build for.
, crossSystem ? null
  # Changes to the set, the first one first.
, overlays ? [ ]
  # Settings of packages; packages see them as `config`.
, config ? { }
}:
if crossSystem != null then
  throw "building for another system (crossSystem) is not there yet: the package set has no cross compilers; leave crossSystem out"
else
  let
    lib = import ./lib;

    set = self:
      let
        callPackage = lib.callPackageWith self;
        environments = import ./stdenv { inherit lib system; inherit (self) stage0; };
      in
      {
        inherit lib config system callPackage;
        # Parts of the set that hold no package of their own: commands that build "everything" pass by.
        stage0 = import ./stdenv/stage0 {
          inherit lib system;
          inherit (self) fetchDeb readLock;
        };
        inherit (environments) stdenv stdenvNoCC fixupTools;
        setupHooks = environments.hooks;
      }
      // import ./build-support { inherit lib callPackage; inherit (self) stdenvNoCC; }
      // import ./packages { inherit callPackage; };
  in
  lib.fixWithOverlays set overlays
