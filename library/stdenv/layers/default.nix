# The seven layers of the build environment, each a function of the one below it:
#
#   0  derivation         Nix's own
#   1  the package stdenv `$stdenv/setup`: SHELL and PATH
#   2  simpleDerivation   a pure environment; meta and overriding
#   3  runCommand         inputs, setup hooks; one command
#   4  runPhases          phases with their hooks
#   5  genericBuild       unpack, patch; strip, shebangs, manual pages
#   6  mkDerivation       configure, build, check, install
#
# A layer has a Nix file, which adds to the environment of the derivation, and (from 2 on) a shell
# file, which `$stdenv/setup` reads after those of the layers below. So a change to a layer changes
# nothing that is built on a lower one.
{ lib }:
let
  makeStdenv =
    { system
      # The package with bash and the shell tools.
    , tools
      # The C library, for its locales and character sets.
    , libc
      # Packages (or setup hooks) that layer 5 and layer 6 add to every package's inputs.
    , genericPackages ? [ ]
    , makePackages ? [ ]
      # The compiler that layer 6 adds; null: none.
    , cc ? null
    }@arguments:
    let
      shell = "${tools}/bin/bash";
      overridable = import ./overridable.nix { inherit lib; };

      setup = import ./1-setup.nix { inherit system tools shell libc; };
      simpleDerivation = import ./2-simple-derivation.nix { inherit system shell setup; };
      runCommand = import ./3-run-command.nix { inherit simpleDerivation; };
      runPhases = import ./4-run-phases.nix { inherit runCommand; };
      genericBuild = import ./5-generic-build.nix { inherit runPhases genericPackages; };
      mkDerivation = import ./6-make-derivation.nix {
        inherit genericBuild;
        makePackages = makePackages ++ lib.optional (cc != null) cc;
        configureShell = "${tools}/bin/dash";
      };
    in
    setup // {
      inherit system shell cc;
      simpleDerivation = overridable simpleDerivation;
      runCommand = overridable runCommand;
      runPhases = overridable runPhases;
      genericBuild = overridable genericBuild;
      mkDerivation = overridable mkDerivation;
      # The same environment with other parts: override { cc = ...; }
      override = changes: makeStdenv (arguments // changes);
    };
in
makeStdenv
