# Layers 0 to 5, each by itself.
{ packages, support }:
let
  inherit (packages) stdenv stdenvNoCC setupHooks stage0 system;
  inherit (support) failing file;

  # An input with a setup hook that looks at other inputs, and one that propagates it.
  hooked = stdenvNoCC.runCommand {
    name = "hooked";
    setupHook = file "hook" ''
      export hookWasRead=1
      collectData() { addToSearchPath DATA_PATH "$1/data"; }
      addEnvHook collectData
    '';
    buildCommand = "mkdir -p $out/data; echo hooked > $out/data/name";
  };
  propagating = stdenvNoCC.runCommand {
    name = "propagating";
    propagatedBuildInputs = [ hooked ];
    buildCommand = "mkdir -p $out/data";
  };
  program = name: text: stdenvNoCC.runCommand {
    inherit name;
    buildCommand = ''
      mkdir -p $out/bin
      printf '#!%s\necho %s\n' $SHELL ${text} > $out/bin/which-one
      chmod +x $out/bin/which-one
    '';
  };

  patched = arguments: stdenvNoCC.genericBuild ({
    name = "patched";
    src = ./patched;
    buildCommandPhase = ''grep -q "after the patch" text; cp text $out'';
  } // arguments);
  patch = builtins.toFile "change.patch" ''
    --- a/text
    +++ b/text
    @@ -1 +1 @@
    -before the patch
    +after the patch
  '';
  compressed = suffix: command: stdenvNoCC.runCommand {
    name = "change.patch.${suffix}";
    buildCommand = "${command} < ${patch} > $out";
  };
in
{
  layer0-derivation = derivation {
    name = "layer0";
    inherit system;
    builder = "${stage0.tools}/bin/bash";
    args = [ "-ec" "[ $given = 1 ]; echo built > $out" ];
    given = true;
  };

  layer1-setup = derivation {
    name = "layer1";
    inherit system stdenv;
    builder = stdenv.shell;
    args = [ "-ec" ''
      if type -P ls; then exit 1; fi
      source $stdenv/setup
      type -P ls grep sed
      [ "$SHELL" = ${stdenv.shell} ]
      [ "$(cat $stdenv/nix-support/propagated-user-env-packages)" = ${stage0.tools} ]
      mkdir $out
    '' ];
  };

  layer2-environment = stdenvNoCC.simpleDerivation {
    pname = "layer2";
    version = "1";
    meta.description = "not part of the build";
    passthru.other = "neither";
    builder = file "builder.sh" ''
      source $stdenv/setup
      [ "$TZ" = UTC ]
      [ "$SOURCE_DATE_EPOCH" = 1 ]
      [ -z "''${meta+set}''${description+set}''${passthru+set}''${other+set}" ]
      [ "$name" = layer2-1 ]
      [ "$(false | true; echo $?)" = 1 ]
      mkdir $out
    '';
  };

  layer3-command = stdenvNoCC.runCommand {
    name = "layer3";
    text = "passed\n";
    passAsFile = [ "text" ];
    buildCommandPath = file "command" ''cp "$textPath" $out'';
  };
  layer3-propagated-hook = stdenvNoCC.runCommand {
    name = "propagated-hook";
    buildInputs = [ propagating ];
    buildCommand = ''
      [ "$hookWasRead" = 1 ]
      [ "$DATA_PATH" = ${propagating}/data:${hooked}/data ]
      touch $out
    '';
  };
  layer3-search-path-order = stdenvNoCC.runCommand {
    name = "search-path-order";
    nativeBuildInputs = [ (program "first" "1") ];
    buildInputs = [ (program "second" "2") ];
    buildCommand = ''
      [ "$(which-one)" = 1 ]
      # an input comes before the tools of the environment
      case $PATH in *${stage0.tools}/bin) ;; *) exit 1 ;; esac
      touch $out
    '';
  };
  layer3-missing-input = failing
    (stdenvNoCC.runCommand { name = "missing-input"; buildInputs = [ "/nonexistent" ]; buildCommand = "touch $out"; })
    "grep -q 'the input /nonexistent does not exist' $log; [ ! -e out ]";

  layer4-phase-order = stdenvNoCC.runPhases {
    name = "phase-order";
    phases = [ "one" "twoPhase" "three" "four" "five" "check" ];
    prePhases = "zero";
    zeroPhase = "echo zero >> log";
    preOne = "echo preOne >> log";
    onePhase = "echo one >> log";
    postOne = "echo postOne >> log";
    twoPhase = file "two" "echo two >> log";
    threePhase = "echo three >> log";
    dontThree = true;
    fourPhase = "echo four >> log";
    dontFour = true;
    doFour = true;
    # a function, defined by an earlier phase
    postTwo = "fivePhase() { echo five >> log; }; preFiveHooks+=(addedHook); addedHook() { echo added >> log; }";
    checkPhase = ''
      [ "$(echo $(< log))" = "zero preOne one postOne two four added five" ]
      cp log $out
    '';
  };
  layer4-undefined-phase = failing
    (stdenvNoCC.runPhases { name = "undefined-phase"; phases = [ "build" "polish" ]; buildPhase = "mkdir $out"; })
    "grep -q 'the phase polish is listed but not defined' $log";
  layer4-failure-hook = failing
    (stdenvNoCC.runPhases {
      name = "failure-hook";
      phases = [ "build" ];
      buildPhase = "echo before; (exit 7); echo after";
      failureHook = "echo failure-hook-ran";
      exitHook = "echo exit-hook-ran";
    })
    "[ $status = 7 ]; grep -q before $log; grep -q failure-hook-ran $log; not grep -q -e after -e exit-hook-ran $log";
  layer4-exit-hook-ran = stdenvNoCC.runPhases {
    name = "exit-hook-ran";
    phases = [ "build" ];
    hookRan = stdenvNoCC.runPhases {
      name = "hook-ran";
      phases = [ "build" ];
      buildPhase = "echo built > $out";
      exitHook = "echo exit-hook-ran >> $out";
      failureHook = "echo failure-hook-ran >> $out";
    };
    buildPhase = ''[ "$(echo $(< $hookRan))" = "built exit-hook-ran" ]; touch $out'';
  };

  layer5-directory-source = stdenvNoCC.genericBuild {
    name = "directory-source";
    src = ./patched;
    buildCommandPhase = ''
      [ "$(basename "$PWD")" = patched ]
      [ -w text ]
      touch $out
    '';
  };
  layer5-no-source = failing
    (stdenvNoCC.genericBuild { name = "no-source"; buildCommandPhase = "touch $out"; })
    "grep -q 'there is neither src nor srcs' $log";
  layer5-unknown-archive = failing
    (stdenvNoCC.genericBuild { name = "unknown-archive"; src = file "source.odd" "x"; buildCommandPhase = "touch $out"; })
    "grep -q 'nothing knows how to unpack .*source.odd' $log";
  layer5-two-directories = failing
    (stdenvNoCC.genericBuild { name = "two-directories"; srcs = [ ./patched ./project ]; buildCommandPhase = "touch $out"; })
    "grep -q 'unpacking gave 2 directories' $log";
  # The first hook that can ends the search: the second would fail the build.
  layer5-first-unpack-hook = stdenvNoCC.genericBuild {
    name = "first-unpack-hook";
    src = file "source.odd" "x";
    buildInputs = [
      (file "hook" ''
        unpackNever() { return 1; }
        unpackOdd() { case $1 in *.odd) mkdir odd; cp $1 odd/source ;; *) return 1 ;; esac; }
        unpackAfter() { echo "asked though another had unpacked" >&2; exit 1; }
        unpackHooks+=(unpackNever unpackOdd unpackAfter)
      '')
    ];
    buildCommandPhase = "cp source $out";
  };
  layer5-tar-hook = stdenvNoCC.genericBuild {
    name = "tar-hook";
    buildInputs = [ setupHooks.tar ];
    src = packages.hello.src;
    buildCommandPhase = "[ -e configure.ac ]; touch $out";
  };

  layer5-patch = patched { patches = [ patch ]; };
  layer5-patch-gzip = patched { patches = [ (compressed "gz" "gzip -n") ]; buildInputs = [ setupHooks.gzip ]; };
  layer5-patch-bzip2 = patched { patches = [ (compressed "bz2" "bzip2") ]; buildInputs = [ setupHooks.bzip2 ]; };
  layer5-patch-xz = patched { patches = [ (compressed "xz" "xz") ]; buildInputs = [ setupHooks.xz ]; };
  layer5-patch-no-hook = failing
    (patched { patches = [ (compressed "gz" "gzip -n") ]; })
    "grep -q 'nothing among the inputs knows how to uncompress .*change.patch.gz' $log";
  layer5-patch-does-not-apply = failing
    (patched { patches = [ (file "wrong.patch" "--- a/text\n+++ b/text\n@@ -1 +1 @@\n-something else\n+after the patch\n") ]; })
    "grep -q 'FAILED' $log";

  # What is done with a finished tree.
  layer5-finished-tree = stdenvNoCC.genericBuild {
    name = "finished-tree";
    src = ./project;
    buildCommandPhase = ''
      mkdir -p $out/bin $out/share/man/man1
      cp script $out/bin/
      cp page.1 $out/share/man/man1/
      ln -s page.1 $out/share/man/man1/alias.1
    '';
    postCompressManPages = ''
      [ "$(head -n 1 $out/bin/script)" = "#!$SHELL -e" ]
      [ "$($out/bin/script)" = "the script ran" ]
      [ "$(ls $out/share/man/man1 | tr '\n' ' ')" = "alias.1.gz page.1.gz " ]
      gzip -dc $out/share/man/man1/alias.1.gz | cmp - page.1
    '';
  };
}
