# Layer 6 on a small project of our own.
{ packages, support }:
let
  inherit (packages) stdenv;
  inherit (support) failing;

  project = arguments: stdenv.mkDerivation ({
    pname = "project";
    version = "1";
    src = ./project;
  } // arguments);

  split = project {
    outputs = [ "out" "bin" "lib" "dev" "man" "info" ];
    configureFlags = "--with-greeting='two words'";
    # The project has nothing for the first output.
    postInstall = "mkdir $out";
  };

  jobs = arguments: project (arguments // {
    buildPhase = ''
      printf '%b\n' 'all: one two' 'one two:' '\t@+make -f $(firstword $(MAKEFILE_LIST)) flags-$@' \
        'flags-%:' '\t@echo "$(MAKEFLAGS)" > $@' > jobs.mk
      makefile=jobs.mk
      runMake all 2> said || { cat said; exit 1; }
      [ ! -s said ]
      case $MAKEFLAGS in
        *jobserver*) [ "$jobServer" = 1 ]; grep -q -e '--jobserver-auth=[0-9]*,[0-9]*' flags-one; grep -q jobserver flags-two ;;
        *) grep -q -e "-j$NIX_BUILD_CORES " flags-one ;;
      esac
    '';
    installPhase = "mkdir $out";
  });
in
{
  one-output = project {
    postInstall = ''
      [ "$($out/bin/program)" = hello ]
      [ "$(cat $out/share/info/configuration)" = "static = no" ]
    '';
  };

  # Each kind of file in its own output; a program's closure without headers and manual pages.
  outputs = stdenv.runCommand {
    name = "outputs";
    buildInputs = [ support.assertions ];
    exportReferencesGraph = [ "graph" split.bin ];
    inherit (split) bin lib dev man info;
    buildCommand = ''
      [ "$($bin/bin/program)" = "two words" ]
      [ -e $lib/lib/libgreet.so ]
      [ -e $dev/include/greet.h ]
      [ -e $man/share/man/man1/page.1.gz ]
      [ -e $info/share/info/configuration ]
      grep -q -x $lib graph
      not grep -q -x -e $dev -e $man -e $info graph
      not grep -q -e gcc -e binutils graph
      touch $out
    '';
  };

  check-runs = project {
    doCheck = true;
    checkFlags = "EXPECTED=hello";
    preInstall = "[ -e checked ]";
  };
  check-is-off = project { preInstall = "[ ! -e checked ]"; };
  check-fails = failing (project { doCheck = true; checkFlags = "EXPECTED=other"; }) "grep -q 'phase: check' $log; not grep -q 'phase: install' $log";

  make-flags = project { makeFlags = "bindir=$out/below 'CC=gcc -DUNUSED'"; postInstall = "[ -e $out/below/program ]"; };
  own-phase = project { buildPhase = "make program"; installPhase = "mkdir $out; cp program $out/"; };


  # Make takes part where builds share their jobs, also below itself, and says nothing about it.
  shared-jobs = jobs { jobServer = true; };
  own-jobs = jobs { jobServer = false; };

  unknown-flag = failing (project { configureFlags = "--with-nothing"; }) "grep -q 'unknown argument: --with-nothing' $log";
  missing-script = failing (project { configureScript = "./setup"; }) "grep -q 'there is no ./setup' $log";
  no-makefile = failing (stdenv.mkDerivation { name = "no-makefile"; src = ./patched; }) "grep -q 'there is no makefile' $log";

  # A function of the final attributes, and changes to them.
  final-attributes = ((stdenv.mkDerivation (final: {
    pname = "project";
    version = "1";
    src = ./project;
    postInstall = ''
      [ "$name" = project-2 ]
      [ "$copy" = 2 ]
    '';
    copy = final.version;
  })).overrideAttrs { version = "2"; });
}
