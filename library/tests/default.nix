# The tests of the package set that build something: one attribute per case, by layer. A case that
# builds has passed.
#
#   nix-build library/tests -A layers.phase-order       one case
#   nix-build library/tests                             all of them
#
# evaluation.nix and ../lib/tests.nix hold those that only evaluate.
{ system ? builtins.currentSystem }:
let
  packages = import ../. { inherit system; };
  support = import ./support.nix { inherit packages; };
  cases = file: { recurseForDerivations = true; } // import file { inherit packages support; };
in
{
  layers = cases ./layers.nix;
  make-derivation = cases ./make-derivation.nix;
  tools = cases ./tools.nix;
  tool-chain = cases ./tool-chain.nix;
  build-support = cases ./build-support.nix;
}
