# Functions that make derivations: fetchers, and small builders on the lowest layer that serves.
{ lib, callPackage, stdenvNoCC }:
let
  fetchurl = import ./fetchurl.nix { inherit lib; };
in
{ inherit fetchurl; }
// import ./fetch-deb.nix { inherit lib fetchurl; }
// import ./trivial.nix { inherit lib; stdenv = stdenvNoCC; }
