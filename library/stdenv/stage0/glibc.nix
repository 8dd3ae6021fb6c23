# The C library. out: what a program needs at run time, and the C.UTF-8 locale; dev: headers, start
# files and link scripts.
#
# It brings its own copy of patchelf for the length of its build, so that it need not wait for the
# one that the other trees use.
{ seedDerivation, debsOf }:
seedDerivation {
  name = "glibc-2.36";
  outputs = [ "out" "dev" ];
  script = ./glibc.sh;
  debs = debsOf [ "libc6" "libcrypt1" "libc6-dev" "libcrypt-dev" "linux-libc-dev" "libc-bin" "libgcc-s1" ];
  patchelfDebs = debsOf [ "patchelf" "libstdc++6" ];
}
