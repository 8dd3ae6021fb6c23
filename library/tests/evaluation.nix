# The tests of the package set that only evaluate: the list of failures, which must be empty.
#
#   nix-instantiate --eval --strict library/tests/evaluation.nix
let
  system = "x86_64-linux";
  library = import ../.;
  packages = library { inherit system; };
  with' = overlay: library { inherit system; overlays = [ overlay ]; };
  fails = value: !(builtins.tryEval (builtins.deepSeq value value)).success;

  # Another derivation in the place of a part of stage 0.
  otherPart = name: final: previous: {
    stage0 = previous.stage0 // {
      ${name} = derivation { inherit system; name = "other-${name}"; builder = "/other"; };
    };
  };
  text = set: (set.writeText "text" "words").drvPath;

  cases = {
    layer-0-result = builtins.attrNames (derivation { name = "n"; inherit system; builder = "b"; })
      == [ "all" "builder" "drvAttrs" "drvPath" "name" "out" "outPath" "outputName" "system" "type" ];
    cross-system-is-refused = fails (library { inherit system; crossSystem = { config = "aarch64-unknown-linux-gnu"; }; });
    unknown-system-is-refused = fails (library { system = "x86_64-darwin"; }).hello.drvPath;
    unknown-system-has-names = (library { system = "x86_64-darwin"; }) ? hello;
    missing-argument-is-refused = fails (packages.callPackage ({ noSuchPackage }: noSuchPackage) { });

    text-does-not-know-the-compiler = text (with' (otherPart "cc")) == text packages;
    hello-knows-the-compiler = (with' (otherPart "cc")).hello.drvPath != packages.hello.drvPath;
    text-knows-the-shell = text (with' (otherPart "tools")) != text packages;

    overlay-reaches-users =
      let
        set = library {
          inherit system;
          overlays = [
            (final: previous: { user = final.callPackage ({ hello }: { inherit (hello) version; }) { }; })
            (final: previous: { hello = previous.hello.overrideAttrs { version = "3"; }; })
          ];
        };
      in
      set.user.version == "3" && set.hello.name == "hello-3";

    override-arguments =
      let
        other = packages.hello.override { stdenv = packages.stdenv.override { cc = packages.stage0.gcc; }; };
      in
      other.drvPath != packages.hello.drvPath && other.meta == packages.hello.meta;
    override-attributes =
      let changed = packages.hello.overrideAttrs (old: { postInstall = "touch $out/changed"; });
      in changed.drvPath != packages.hello.drvPath && changed.meta.mainProgram == "hello" && changed ? override;
    override-attributes-twice =
      let change = value: old: { chain = (old.chain or [ ]) ++ [ value ]; };
      in ((packages.hello.overrideAttrs (change 1)).overrideAttrs (change 2)).chain == [ 1 2 ];
    override-sees-the-final-name = (packages.hello.overrideAttrs { version = "2.9"; }).src.name == "hello-2.9.tar.gz";
    outputs-keep-what-is-known =
      let split = packages.stdenv.mkDerivation { name = "split"; outputs = [ "out" "dev" ]; meta.description = "d"; };
      in split.dev.meta.description == "d" && split.dev ? overrideAttrs && split.dev.outputName == "dev";
    meta-changes-nothing = (packages.hello.overrideAttrs { meta = { }; }).drvPath == packages.hello.drvPath;
    passthru-is-given-back = (packages.stdenv.mkDerivation { name = "p"; passthru.tests = 1; }).tests == 1;

    source-path-is-by-hash = (packages.fetchurl { url = "mirror://debian/a"; name = "n"; sha256 = packages.hello.src.outputHash; }).outPath
      == (packages.fetchurl { url = "https://example.org/b"; name = "n"; sha256 = packages.hello.src.outputHash; }).outPath;
    source-needs-a-hash = fails (packages.fetchurl { url = "mirror://debian/a"; }).outPath;
    source-needs-one-hash = fails (packages.fetchurl { url = "mirror://debian/a"; sha256 = "a"; sha512 = "b"; }).outPath;
    source-forms-of-hash =
      let outPath = hash: (packages.fetchurl ({ url = "mirror://debian/a"; } // hash)).outPath;
      in outPath { sha256 = "0ssi1wpaf7plaswqqjwigppsg5fyh99vdlb9kzl7c9lng89ndq1i"; }
        == outPath { hash = "sha256-MeBmE3qWJnbon2nRtlOC3pWn732RS4y5VvQepy4PUWs="; };
    locked-names-are-clean = (packages.fetchDeb { file = "pool/main/a/a_1%3a2~rc+b1_amd64.deb"; version = ""; size = 0; sha256 = packages.hello.src.outputHash; }).name
      == "a_1_3a2_rc+b1_amd64.deb";

    release-holds-derivations-only =
      let release = import ../release.nix { inherit system; };
      in builtins.all packages.lib.isDerivation (builtins.attrValues release)
        && release ? hello && release ? stage0-glibc-dev && release ? source-hello && release ? source-libbz2-1_0;
  };
in
builtins.filter (name: !cases.${name}) (builtins.attrNames cases)
