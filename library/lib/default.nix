# The pure functions of the package set, as one flat set.
#
# Every function here is used by the rest of the library, has no derivation in it, and has its
# test in tests.nix. Absent on purpose: what nothing uses yet, and platforms (they come with cross
# compilation).
import ./fixed-points.nix
// import ./customisation.nix
// import ./attrsets.nix
// import ./lists.nix
// import ./strings.nix
// import ./meta.nix
// {
  licenses = import ./licenses.nix;
}
