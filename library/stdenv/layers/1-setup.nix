# Layer 1: a package whose script `setup` gives a builder SHELL and PATH, and then the functions of
# the layers that the derivation names in `layerScripts`. It can be installed: it brings the tools
# into the profile.
{ system, tools, shell, libc }:
derivation {
  name = "stdenv";
  inherit system tools shell libc;
  builder = shell;
  args = [ "-ec" ''
    PATH=$tools/bin
    mkdir -p $out/nix-support
    {
      echo "export SHELL=$shell PATH=$tools/bin"
      # The C library looks for locales and character sets in places that the store has not.
      echo "export LOCPATH=$libc/lib/locale GCONV_PATH=$libc/lib/gconv"
      echo 'for layerScript in $layerScripts; do source "$layerScript"; done'
    } > $out/setup
    echo $tools > $out/nix-support/propagated-user-env-packages
  '' ];
}
