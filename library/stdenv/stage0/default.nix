# Stage 0: a C and C++ tool chain and shell tools out of pinned Debian packages, that see the store
# only. It is what the first package is built with.
#
#   lock → fetch → seed (busybox) → unpack + relocate → { glibc } → { gcc-libs, tools, binutils, gcc } → cc
#
# The packages are Debian's own binaries. They are unpacked by the seed, a static busybox, and
# relocated: every program gets the dynamic linker of our glibc and a search path of store
# directories. Nothing of the host is used, not even /bin/sh.
#
# The steps are few and wide on purpose. glibc waits for nothing but the seed; the four trees wait
# for glibc and for the bootstrap patchelf, and not for each other, so that they build side by side.
#
# Absent: a stage built from source, and other systems than x86_64-linux.
{ lib, fetchDeb, readLock, system }:
let
  lock = readLock ../lock/stage0.json;
  debs = builtins.mapAttrs (_: fetchDeb) lock;
  # The .debs of some packages, in the order in which they are to be unpacked.
  debsOf = map (name: debs.${name} or (throw "stage 0: the lock file has no package ${name}"));

  # Debian's name of the system: directories and programs bear it.
  triple = "x86_64-linux-gnu";

  seed = import ./seed.nix { deb = debs.busybox-static; };

  # A step of stage 0: a script for busybox's shell, with the names of unpack.sh and relocate.sh.
  # PATH stays empty: every command of the scripts is an applet of busybox.
  seedDerivation = { script, ... }@arguments: derivation ({
    inherit system triple;
    builder = "${seed}/bin/busybox";
    args = [ "ash" "-e" script ];
    PATH = "";
    unpackFunctions = ./unpack.sh;
    relocateFunctions = ./relocate.sh;
  } // removeAttrs arguments [ "script" ]);

  patchelf = seedDerivation {
    name = "patchelf-bootstrap-${lock.patchelf.version}";
    script = ./patchelf.sh;
    debs = debsOf [ "patchelf" "libc6" "libstdc++6" "libgcc-s1" ];
  };

  glibc = import ./glibc.nix { inherit seedDerivation debsOf; };

  trees = import ./trees.nix { inherit seedDerivation debsOf glibc patchelf; };

  wrapCC = import ./cc-wrapper.nix { inherit lib seed seedDerivation; };

  cc = wrapCC {
    name = "gcc-wrapper-12.2.0";
    cc = trees.gcc;
    inherit (trees) binutils gccLibs;
    libc = glibc;
    inherit triple;
  };
in
if system != "x86_64-linux" then
  throw "the package set has no stage 0 for ${system}: its pinned packages are for x86_64-linux only"
else {
  inherit lock debs seed patchelf glibc wrapCC cc seedDerivation;
  inherit (trees) gccLibs binutils tools;
  gcc = trees.gcc;
}
