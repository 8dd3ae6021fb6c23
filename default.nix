# The package set: see library/default.nix.
import ./library
