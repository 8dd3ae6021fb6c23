# The seed: the one program that is not built by a program of the store.
#
# A static busybox out of Debian's package, by Firn's own builder `builtin:unpack`, which needs no
# shell and no tool. The result is a fixed output, so it is the same path wherever it came from:
# C++ Nix, which has no such builder, gets it by
#
#   nix-store --add-fixed --recursive sha256 busybox-static-1.35.0
#
# of a directory of that name that holds bin/busybox, executable, and nothing else.
#
# The file must keep the name busybox: the program picks its applet by its own name.
# A new version needs a new name here, or the old output would go on being used.
{ deb }:
derivation {
  name = "busybox-static-1.35.0";
  builder = "builtin:unpack";
  system = "builtin";
  src = deb;
  # Which members, separated by blanks; they keep their places below the output.
  select = "bin/busybox";
  preferLocalBuild = true;
  outputHashMode = "recursive";
  outputHashAlgo = "sha256";
  outputHash = "sha256-SUza0DfPfQp17oFvwGC5JmPeEwlgKv9DwvnOVdreTEA=";
}
