# Setup hooks that are files and nothing else: each is named in `buildInputs` as it is, and costs no
# build. They take their program from PATH.
{
  # Unpackers: see unpackHooks in layers/5-generic-build.sh.
  tar = ./tar.sh;
  # Decompressors of patches: see uncompressHooks there.
  gzip = ./gzip.sh;
  bzip2 = ./bzip2.sh;
  xz = ./xz.sh;
}
