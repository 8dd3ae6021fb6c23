# The build environments, from the bottom up.
#
#   stdenvNoCC   layers 1 to 6 over the shell tools: enough for text, trees and scripts
#   stdenv       the same with the compilers
#
# Each layer is a function of the one below and usable by itself; layers/ holds them.
{ lib, system, stage0 }:
let
  makeLayers = import ./layers { inherit lib; };
  hooks = import ./hooks;

  # Layers 1 to 4 only: what the tools of layer 5 are made with.
  base = makeLayers {
    inherit system;
    inherit (stage0) tools;
    libc = stage0.glibc;
  };

  fixupTools = import ./tools { stdenv = base; inherit (stage0) tools; };

  stdenvNoCC = base.override {
    genericPackages = [ fixupTools ];
    makePackages = [ hooks.tar hooks.gzip hooks.bzip2 hooks.xz ];
  };
in
{
  inherit hooks fixupTools stdenvNoCC;
  stdenv = stdenvNoCC.override { cc = stage0.cc; };
}
