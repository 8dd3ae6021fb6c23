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

  base = makeLayers {
    inherit system;
    inherit (stage0) tools;
    locale = "${stage0.glibc}/lib/locale";
  };

  fixupTools = import ./tools { stdenv = base; inherit (stage0) tools; };

  noCC = makeLayers {
    inherit system;
    inherit (stage0) tools;
    locale = "${stage0.glibc}/lib/locale";
    genericPackages = [ fixupTools ];
    makePackages = [ hooks.tar hooks.gzip hooks.bzip2 hooks.xz ];
  };
in
{
  inherit base hooks fixupTools;
  stdenvNoCC = noCC;
  stdenv = noCC.override { cc = stage0.cc; };
}
