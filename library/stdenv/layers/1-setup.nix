# Layer 1: a package whose script `setup` gives a builder SHELL and PATH, and then the functions of
# the layers that the derivation names in `layerScripts`. It can be installed: it brings the tools
# into the profile.
{ system, tools, shell, locale }:
derivation {
  name = "stdenv";
  inherit system tools shell locale;
  builder = shell;
  args = [ "-ec" ''
    PATH=$tools/bin
    mkdir -p $out/nix-support
    {
      echo "export SHELL=$shell PATH=$tools/bin LOCPATH=$locale"
      echo 'for layerScript in $layerScripts; do source "$layerScript"; done'
    } > $out/setup
    echo $tools > $out/nix-support/propagated-user-env-packages
  '' ];
}
