# Compiler drivers that see store paths only: gcc, g++ and cpp of the unwrapped compiler, told where
# headers, start files, libraries and the dynamic linker are; binutils under their plain names; and
# the setup hook that makes other packages' headers and libraries known.
#
# The drivers are scripts of the seed's shell: a static program, which starts in half a millisecond,
# as configure scripts run hundreds of compilations.
{ lib, seed, seedDerivation }:
{ name
  # The unwrapped compiler, its binutils, its C library (with an output dev).
, cc, binutils, libc
  # Libraries that compiled programs may need at run time; null: none.
, gccLibs ? null
  # The system as the compiler's directories name it.
, triple
  # The compiler's version as its directories name it.
, version ? "12"
}:
seedDerivation {
  inherit name cc binutils gccLibs seed version;
  libc = libc;
  libcDev = libc.dev;
  script = ./cc-wrapper.sh;
  driver = ./cc-driver.sh;
  setupHook = ./cc-setup-hook.sh;
  # C++ headers come before the C library's, in this order: they include one another by #include_next.
  cxxDirectories = map (directory: "${cc}/include/${directory}") [
    "c++/${version}"
    "${triple}/c++/${version}"
    "c++/${version}/backward"
  ];
}
