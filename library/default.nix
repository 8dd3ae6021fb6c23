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
        # The set by the name that expressions written for nixpkgs know it by; nix-shell -p asks for it.
        pkgs = self;
        # Parts of the set that hold no package of their own: commands that build "everything" pass by.
        stage0 = import ./stdenv/stage0 {
          inherit lib system;
          inherit (self) fetchDeb readLock;
        };
        inherit (environments) stdenv stdenvNoCC fixupTools;
        setupHooks = environments.hooks;
        # What nix-shell starts: the bash of the shell tools, which can be typed to.
        bashInteractive = self.stage0.tools;
      }
      // import ./build-support { inherit lib callPackage; inherit (self) stdenvNoCC; }
      // import ./build-support/shell.nix { inherit (self) stdenv; }
      // import ./packages { inherit callPackage; };
  in
  lib.fixWithOverlays set overlays
